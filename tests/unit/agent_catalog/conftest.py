"""One agent with sample tools, run with a model that is scripted or the demo model."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel, StreamFunctionDef

from agent_catalog import load_catalog
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.errors import EngineError
from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.fakes.engine_outputs import let_begin, outputs_of
from tests.unit.agent_catalog.chat import Chat

TOOLS = (
    *("add", "locate", "whose", "refuse", "crash", "hang", "hang_in_thread"),
    *("count_far", "launch", "land"),
)

SAMPLE_AGENT = f"""
name: Sample
description: Has one tool of each kind.
instructions: Be {{{{terse}}}}.
tools: [{", ".join(f"tests.unit.agent_catalog.sample_tools:{name}" for name in TOOLS)}]
approval: [launch, land]
"""


class Rig:
    """Runs the sample agent; `ending` is how the turn has ended, `error` why it has failed."""

    def __init__(self, folder: Path, model: Model, more: str = "") -> None:
        (folder / "sample.yaml").write_text(SAMPLE_AGENT + more, encoding="utf-8")
        self.catalog = load_catalog("demo", folder)
        self.engine = PydanticAiEngine(self.catalog, lambda _: model)
        self.ending: TurnEnded | TurnPaused | None = None
        self.error: EngineError | None = None
        self.before_tool: Callable[[], None] = let_begin

    def task(self, message: str, **fields: Any) -> AgentTask:
        return AgentTask(
            run_id="run-1",
            session_id="session-1",
            tenant="acme",
            user_id="ana",
            agent=self.catalog.agent("sample"),
            message=message,
            **fields,
        )

    async def run(self, message: str = "go", **fields: Any) -> list[EngineEvent]:
        """Return the events; what follows the ending would be among them."""
        events: list[Any] = []
        self.ending = self.error = None
        try:
            task = self.task(message, **fields)
            async for output in outputs_of(self.engine, task, before_tool=self.before_tool):
                if self.ending is None and isinstance(output, TurnEnded | TurnPaused):
                    self.ending = output
                else:
                    events.append(output)
        except EngineError as error:
            self.error = error
        return events

    @property
    def paused(self) -> TurnPaused:
        assert isinstance(self.ending, TurnPaused)
        return self.ending

    @property
    def ended(self) -> TurnEnded:
        assert isinstance(self.ending, TurnEnded)
        return self.ending


@pytest.fixture
def chat() -> Chat:
    return Chat()


class RigFor(Protocol):
    """Builds a rig from a model's stream; `more` is added to the agent's file."""

    def __call__(self, stream: StreamFunctionDef, more: str = "") -> Rig: ...


@pytest.fixture
def rig_for(tmp_path: Path) -> RigFor:
    return lambda stream, more="": Rig(tmp_path, FunctionModel(stream_function=stream), more)


def calling(*calls: tuple[str, Any], then: str = "done") -> StreamFunctionDef:
    """A model that makes all calls at once, and answers when it has their results."""

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        if isinstance(messages[-1].parts[-1], ToolReturnPart):
            yield then
            return
        yield {
            number: DeltaToolCall(
                name=name,
                json_args=arguments if isinstance(arguments, str) else json.dumps(arguments),
                tool_call_id=f"call-{number}",
            )
            for number, (name, arguments) in enumerate(calls)
        }

    return stream


class Watched:
    """A model that records what it is sent, and answers as another one does."""

    def __init__(self, stream: StreamFunctionDef) -> None:
        self.seen: list[list[ModelMessage]] = []
        self.infos: list[AgentInfo] = []
        self._stream = stream

    async def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        self.seen.append(list(messages))
        self.infos.append(info)
        async for delta in self._stream(messages, info):
            yield delta

    def returns(self) -> dict[str, ToolReturnPart]:
        parts = (part for message in self.seen[-1] for part in message.parts)
        return {part.tool_call_id: part for part in parts if isinstance(part, ToolReturnPart)}


async def silent(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[str]:
    """A model that says `ok` to everything."""
    yield "ok"
