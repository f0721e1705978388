"""Runs of graphs of LangGraph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import ContentDelta, ToolEnd, ToolError, ToolStart
from agentrun.domain.ports import AgentTask
from agentrun.domain.steps import StepContent
from agentrun.domain.turns import Resumption, TurnEnded, TurnEnding, TurnPaused
from tests.fakes import own_graphs
from tests.fakes.engine_outputs import FakeHost
from tests.runs import AT


class Rig:
    """Runs one graph, and goes on with what it has left."""

    def __init__(self, folder: Path, name: str, more: str = "", **where: str) -> None:
        self.catalog = own_graphs.catalog_of(folder, name, more, **where)
        self.agent = self.catalog.agent(name)
        self.history: list[PastTurn] = []
        self.events: list[Any] = []
        self.host = FakeHost()
        self.message = ""
        own_graphs.effects.clear()

    async def run(
        self,
        message: str = "go",
        *,
        may_ask: Callable[[], bool] = lambda: True,
        keeping: Callable[[StepContent], Any] | None = None,
        **fields: Any,
    ) -> TurnEnding:
        """Run a turn with an engine that knows nothing of earlier ones."""
        self.events, self.message = [], message
        engine = PydanticAiEngine(self.catalog, lambda _: demo_model(delay_s=0))
        more: dict[str, Any] = {"keeping": keeping} if keeping else {}
        before = fields.get("steps", ())
        self.host = FakeHost(self.events.append, may_ask=may_ask, before=before, **more)
        who = {"tenant": "acme", "user_id": "ana", "run_id": "run-1", "session_id": "session-1"}
        task = {"agent": self.agent, "message": message, "history": tuple(self.history), **who}
        return await engine.run(AgentTask(**(task | fields)), self.host)

    async def turn(self, message: str) -> str:
        """Run a turn of a conversation; return its answer."""
        ending = await self.run(message)
        assert isinstance(ending, TurnEnded)
        self.past(message, self.text, ending.messages)
        return self.text

    def past(self, message: str, output: str, messages: str | None) -> None:
        turn = {"run_id": f"r{len(self.history)}", "created_at": AT, "updated_at": AT}
        self.history.append(PastTurn(input=message, output=output, messages=messages, **turn))

    async def decide(self, paused: TurnEnding, *decisions: Decision, **fields: Any) -> TurnEnding:
        assert isinstance(paused, TurnPaused)
        resumption = Resumption(state=paused.state, decisions=decisions)
        return await self.run(self.message, resumption=resumption, **fields)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ContentDelta))

    @property
    def tools(self) -> list[Any]:
        kinds = (ToolStart, ToolEnd, ToolError)
        return [event for event in self.events if isinstance(event, kinds)]


def pending(paused: TurnEnding) -> list[tuple[str, Any]]:
    assert isinstance(paused, TurnPaused)
    return [(call.tool_name, call.arguments) for call in paused.pending]


def yes(paused: TurnEnding, place: int = 0, **more: Any) -> Decision:
    assert isinstance(paused, TurnPaused)
    return Decision(id=paused.pending[place].id, action=ApprovalAction.APPROVE, **more)


def no(paused: TurnEnding, place: int = 0, **more: Any) -> Decision:
    assert isinstance(paused, TurnPaused)
    return Decision(id=paused.pending[place].id, action=ApprovalAction.REJECT, **more)
