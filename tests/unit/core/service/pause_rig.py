"""Runs that pause for an approval, and the rig that continues them."""

from uuid import UUID

from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.events import (
    ContentDelta,
    Metrics,
    PendingApproval,
    RecordedEvent,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.follow import RunFollower
from agentrun.service.starting.continue_run import paused_run
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.rig import ANA, Rig, read_all
from tests.runs import SESSION

REQUEST = RunRequest(message="Buy 10 AMZN", session_id=UUID(SESSION))
CALLS = tuple(
    PendingApproval(id=name, tool="order", tool_name="order", arguments={"shares": 1})
    for name in ("c1", "c2")
)
PAUSE = TurnPaused(pending=CALLS, state="the engine's own")
APPROVE = ContinueRequest(action=ApprovalAction.APPROVE)
BEFORE: list[Item] = [ContentDelta(text="Asking. "), Metrics(total_tokens=5, llm_calls=1), PAUSE]
AFTER: list[Item] = [
    ToolStart(id="c1", name="order", arguments={"shares": 1}),
    ToolEnd(id="c1", name="order", result="done"),
    ContentDelta(text="Done."),
    Metrics(total_tokens=7, llm_calls=2),
]


class PauseRig(Rig):
    """Runs that pause for an approval."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = ScriptedEngine(BEFORE, resumed=AFTER)
        self.here = self.launcher(self.engine)

    async def pause(self) -> list[RecordedEvent]:
        stream = await self.here.begin(ANA, "echo", REQUEST, deadline=None)
        assert isinstance(stream, RunExecution)
        self.key = stream.run.key
        return await read_all(stream)

    @property
    def run(self) -> AgentRun:
        return self.store.get(self.key)

    def status(self) -> RunStatus:
        return self.run.status

    def cancel(self, *_: object, **__: object) -> None:
        self.store.request_cancel(self.key, at=self.clock.now())

    async def resume(self, request: ContinueRequest = APPROVE) -> RunExecution:
        found = await paused_run(ANA, "echo", self.key.run_id, self.runs)
        return await self.here.resume(ANA, found, request, deadline=None)

    async def replay(self, cursor: int = 0) -> list[RecordedEvent]:
        return await read_all(RunFollower(self.run, cursor, self.runs))
