"""From an engine that says its events to a generator of them, and back."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused

EngineOutput = EngineEvent | TurnEnding


def let_begin() -> None:
    """Let every tool begin; a `before_tool` where that is not the point."""


async def outputs_of(
    engine: AgentEngine, task: AgentTask, *, before_tool: Callable[[], None] = let_begin
) -> AsyncGenerator[EngineOutput, None]:
    """Yield what a run says as it says it, and how it ends; closing the generator cancels it."""
    said: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
    run = asyncio.ensure_future(engine.run(task, say=said.put_nowait, before_tool=before_tool))
    run.add_done_callback(lambda _: said.put_nowait(None))
    try:
        while (event := await said.get()) is not None:
            yield event
        yield await run
    finally:
        run.cancel()
        await asyncio.wait({run})


async def say_all(
    outputs: AsyncGenerator[EngineOutput, None], say: Callable[[EngineEvent], None]
) -> TurnEnding:
    """Say what the generator yields, until it yields how the turn ends, or is at its end."""
    async with aclosing(outputs):
        async for output in outputs:
            if isinstance(output, TurnEnded | TurnPaused):
                return output
            say(output)
    return TurnEnded()
