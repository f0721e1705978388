"""A turn with steps, run by the real engine on the demo model, and gone on with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent_catalog import load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.events import EngineEvent, ToolEnd, ToolError, ToolStart
from agentrun.domain.ports import AgentTask
from agentrun.domain.steps import Answered, Began, Continued, Returned, Step
from agentrun.domain.turns import Resumption, TurnEnded, TurnEnding, TurnPaused
from tests.fakes import counting_tools
from tests.fakes.counting_agent import counter
from tests.fakes.engine_outputs import FakeHost


class Steps:
    """Runs turns of the agent whose tools count; knows what the last one told and kept."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.agent = counter(folder, more)
        self.engine = PydanticAiEngine(
            load_catalog("demo", folder), lambda _: demo_model(delay_s=0)
        )
        self.events: list[EngineEvent] = []
        self.host = FakeHost()
        self.ending: TurnEnding | None = None
        self.asks = True
        counting_tools.forget()

    async def run(self, message: str, **fields: Any) -> list[Step]:
        """Run a turn, from `steps` if there are any; return its steps."""
        self.events = []
        counting_tools.forget()
        steps = tuple(fields.pop("steps", ()))
        self.host = FakeHost(self.events.append, may_ask=lambda: self.asks, before=steps)
        self.ending = None
        self.ending = await self.engine.run(self.task(message, steps=steps, **fields), self.host)
        return self.host.steps

    def task(self, message: str, **fields: Any) -> AgentTask:
        task: dict[str, Any] = {
            "run_id": "run-1",
            "session_id": "session-1",
            "tenant": "acme",
            "user_id": "ana",
            "agent": self.agent,
            "message": message,
        }
        return AgentTask(**(task | fields))

    async def decide(self, message: str, *decisions: Decision, **fields: Any) -> list[Step]:
        """Go on with the turn that has just paused."""
        resumption = Resumption(state=self.paused.state, decisions=decisions)
        return await self.run(message, resumption=resumption, **fields)

    @property
    def paused(self) -> TurnPaused:
        assert isinstance(self.ending, TurnPaused)
        return self.ending

    @property
    def messages(self) -> list[Any]:
        """What the conversation keeps of the turn, without the times."""
        assert isinstance(self.ending, TurnEnded)
        return list(_without_times(json.loads(self.ending.messages or "[]")))

    @property
    def tools(self) -> list[str]:
        """What was told of tools, each with the end of its call's id."""
        kinds = (ToolStart, ToolEnd, ToolError)
        told = [event for event in self.events if isinstance(event, kinds)]
        return [f"{event.event} {event.name}" for event in told]

    @property
    def effects(self) -> list[tuple[str, str]]:
        return sorted(counting_tools.effects)


def _without_times(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "timestamp"}
    return value


def approve(call_id: str, **more: Any) -> Decision:
    return Decision(id=call_id, action=ApprovalAction.APPROVE, **more)


def reject(call_id: str, **more: Any) -> Decision:
    return Decision(id=call_id, action=ApprovalAction.REJECT, **more)


def handed_over(steps: Sequence[Step]) -> list[Step]:
    """Return steps whose calls were not let begin by the executor that stored the last of them."""
    return [
        step.model_copy(update={"content": step.content.model_copy(update={"acting": ()})})
        if isinstance(step.content, Answered | Began | Continued)
        else step
        for step in steps
    ]


def continued(*acting: str) -> Step:
    """Return the step that a service keeps when a continuation begins."""
    return Step(number=1, event_id=1, content=Continued(acting=acting))


def returned(steps: Sequence[Step]) -> set[str]:
    return {step.content.call_id for step in steps if isinstance(step.content, Returned)}
