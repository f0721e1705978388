"""`python -m bench.bare_engine N`: pydantic-ai alone; prints processor time per delta in µs."""

import asyncio
import sys
import time

import pydantic_ai
from pydantic_ai import Agent
from pydantic_ai.messages import PartDeltaEvent, TextPartDelta

from bench.stamped_model import stamped_model


async def deltas(agent: Agent[None, str], count: int) -> list[int]:
    """Run the agent and note the processor time at each delta, in nanoseconds."""
    async with agent.run_stream_events(f"/emit {count}") as events:
        return [
            time.process_time_ns()
            async for event in events
            if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta)
        ]


async def main() -> None:
    """Run once to warm up, then three times, and print each figure on its line."""
    pydantic_ai.BANNER_ENABLED = False
    agent = Agent(stamped_model())
    await deltas(agent, 200)
    for _ in range(3):
        noted = await deltas(agent, int(sys.argv[1]))
        print((noted[-1] - noted[0]) / (len(noted) - 1) / 1e3)


if __name__ == "__main__":
    asyncio.run(main())
