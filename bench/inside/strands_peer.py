"""
Another peer: FastAPI and Strands Agents, streamed but not recorded.

`python -m bench.inside.strands_peer FD`, in the environment that `make bench PEERS=1` makes for it.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

from strands import Agent
from strands.models import Model

from bench.inside.peer_app import Shown, serve
from bench.inside.stamps import stamps


class StampedModel(Model):  # type: ignore[misc] # the package is not installed where mypy runs
    """Says in Bedrock's events what the stamped model says."""

    def update_config(self, **_: Any) -> None:
        """Have none."""

    def get_config(self) -> dict[str, Any]:
        """Have none, but for a size that is never reached."""
        return {"model_id": "stamped", "context_window_limit": 1_000_000}

    def structured_output(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        """Refuse: nobody asks for it."""
        raise NotImplementedError

    async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterable[Any]:
        """Stream one answer."""
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        async for text in stamps(messages[-1]["content"][0]["text"]):
            yield {"contentBlockDelta": {"delta": {"text": text}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


model = StampedModel()


async def run(message: str) -> AsyncIterator[Shown]:
    """Run an agent; one of Strands' holds its conversation, so that each run has its own."""
    agent = Agent(model=model, callback_handler=None)
    async for event in agent.stream_async(message):
        if text := event.get("data"):
            yield "CONTENT_DELTA", text


if __name__ == "__main__":
    serve(run)
