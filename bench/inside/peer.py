"""
The peer: FastAPI and pydantic-ai as one would write it first, streamed but not recorded.

`python -m bench.inside.peer FD MODEL` serves on a socket that listens already. The model is
`stamped`, `searching` (it calls a tool and then says a few words), or an id of pydantic-ai's.
"""

import json
import sys
from collections.abc import AsyncIterator

from pydantic_ai import Agent
from pydantic_ai.messages import (
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelMessage,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from bench.inside.peer_app import Shown, serve
from bench.inside.stamped_model import stamped_model
from tools.search import search_docs


async def _search(
    messages: list[ModelMessage], _: AgentInfo
) -> AsyncIterator[str | DeltaToolCalls]:
    if len(messages) == 1:
        yield {0: DeltaToolCall("search_docs", '{"query": "attach to a run"}', tool_call_id="1")}
        return
    for word in ("One", "attaches", "by", "the", "run's", "id."):
        yield f"{word} "


_MODELS = {
    "stamped": stamped_model,
    "searching": lambda: FunctionModel(stream_function=_search, model_name="searching"),
}
_model = sys.argv[2]
agent = Agent(
    _MODELS[_model]() if _model in _MODELS else _model,
    instructions="You answer questions about this project from its documentation.",
    tools=[search_docs],
)


async def run(message: str) -> AsyncIterator[Shown]:
    """Run the agent."""
    async with agent.run_stream_events(message) as events:
        async for event in events:
            match event:
                case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                    yield "CONTENT_DELTA", text
                case PartStartEvent(part=TextPart(content=text)) if text:
                    yield "CONTENT_DELTA", text
                case FunctionToolCallEvent(part=call):
                    yield "TOOL_START", json.dumps({"name": call.tool_name, "input": call.args})
                case FunctionToolResultEvent(part=result):
                    yield "TOOL_END", json.dumps({"name": result.tool_name})


if __name__ == "__main__":
    serve(run)
