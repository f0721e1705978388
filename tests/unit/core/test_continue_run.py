"""Pausing a run for a human and continuing it: nothing lost, nothing done twice."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from agentrun.domain.approvals import ApprovalAction, ContinueRequest, Decision
from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import (
    CannotResumeError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    StoreUnavailableError,
)
from agentrun.domain.events import (
    ContentDelta,
    Metrics,
    Paused,
    PendingApproval,
    RecordedEvent,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service import run_execution
from agentrun.service.attach import RunFollower, attach, whole_run
from agentrun.service.continue_run import paused_run, run_to_approve
from agentrun.service.run_execution import RunExecution
from agentrun.service.run_result import collect_result
from agentrun.service.run_status import get_run, settled_state
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.runs import SESSION
from tests.workshop import ANA, WRITE, Workshop, read_all, types

pytestmark = pytest.mark.anyio

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


class Desk(Workshop):
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
        follower = RunFollower(self.run, cursor, self.runs)
        return [event async for batch in follower.batches(idle_s=60) for event in batch]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_a_pause_ends_the_stream_and_is_durable_first(desk: Desk) -> None:
    events = await desk.pause()
    assert types(events) == ["START", "CONTENT_DELTA", "METRICS", "PAUSED"]
    paused = events[-1].event
    assert isinstance(paused, Paused)
    assert paused.approvals == CALLS
    run = desk.run
    assert (run.status, run.output, run.completed_at) == (RunStatus.PAUSED, "Asking. ", None)
    assert run.required_action == paused
    assert desk.conversations.lock("acme", SESSION) == SessionLock()
    assert await desk.replay() == events


async def test_a_continuation_goes_on_where_the_run_was_paused(desk: Desk) -> None:
    before = await desk.pause()
    after = await read_all(await desk.resume())
    assert types(after) == [
        "START",
        "TOOL_START",
        "TOOL_END",
        "CONTENT_DELTA",
        "METRICS",
        "STOP",
    ]
    assert [event.id for event in before + after] == list(range(1, 11))
    run = desk.run
    assert (run.status, run.output) == (RunStatus.COMPLETED, "Asking. Done.")
    assert run.total_tokens == 12
    metrics = after[-2].event
    assert isinstance(metrics, Metrics)
    assert metrics.llm_calls == 3
    assert await desk.replay() == before + after
    assert await desk.replay(cursor=4) == after


async def test_the_engine_is_given_its_state_and_the_decisions(desk: Desk) -> None:
    await desk.pause()
    decisions = (
        Decision(id="c2", action=ApprovalAction.REJECT, reason="too many"),
        Decision(id="c1", action=ApprovalAction.APPROVE, arguments={"shares": 2}),
    )
    await read_all(await desk.resume(ContinueRequest(decisions=decisions)))
    resumption = desk.engine.tasks[1].resumption
    assert resumption is not None
    assert (resumption.state, resumption.decisions) == (PAUSE.state, decisions[::-1])
    assert desk.engine.tasks[1].message == "Buy 10 AMZN"


@pytest.mark.parametrize(
    "request_",
    [
        ContinueRequest(decisions=(Decision(id="c1", action=ApprovalAction.APPROVE),)),
        ContinueRequest(
            decisions=tuple(
                Decision(id=name, action=ApprovalAction.APPROVE) for name in ("c1", "c2", "c3")
            )
        ),
        ContinueRequest(
            decisions=tuple(
                Decision(id=name, action=ApprovalAction.APPROVE) for name in ("c1", "c1", "c2")
            )
        ),
    ],
)
async def test_each_pending_call_is_decided_once(desk: Desk, request_: ContinueRequest) -> None:
    await desk.pause()
    with pytest.raises(InvalidRequestError, match="c1, c2"):
        await desk.resume(request_)
    assert desk.status() == RunStatus.PAUSED


@pytest.mark.parametrize("body", [{}, {"action": "APPROVE", "decisions": []}, {"action": "MAYBE"}])
def test_exactly_one_of_action_and_decisions_is_taken(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"action|decisions"):
        ContinueRequest.model_validate(body)


async def test_changed_arguments_have_to_fit_the_tool(desk: Desk) -> None:
    await desk.pause()
    decisions = tuple(
        Decision(id=name, action=ApprovalAction.APPROVE, arguments={"shares": shares})
        for name, shares in (("c1", 2), ("c2", "many"))
    )
    with pytest.raises(InvalidRequestError) as refused:
        await desk.resume(ContinueRequest(decisions=decisions))
    assert [name for name, _ in refused.value.params] == ["decisions.1.arguments.shares"]
    assert desk.status() is RunStatus.PAUSED


async def test_a_guarded_agents_run_is_continued_with_its_scope_only(desk: Desk) -> None:
    await desk.pause()
    guarded = desk.run.model_copy(update={"agent_id": "guarded"})
    desk.store.runs[desk.key] = guarded
    found = await paused_run(ANA, "guarded", desk.key.run_id, desk.runs)
    with pytest.raises(ForbiddenError, match="agents:guarded"):
        await desk.here.resume(ANA, found, APPROVE, deadline=None)
    assert desk.status() is RunStatus.PAUSED


async def test_of_two_who_continue_at_once_one_wins(desk: Desk) -> None:
    await desk.pause()
    answers = await asyncio.gather(desk.resume(), desk.resume(), return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, ConflictError)]
    won = [answer for answer in answers if isinstance(answer, RunExecution)]
    assert (len(lost), len(won)) == (1, 1)
    await read_all(won[0])
    assert len(desk.engine.tasks) == 2


async def test_a_run_that_is_not_paused_is_not_continued(desk: Desk) -> None:
    await desk.pause()
    await read_all(await desk.resume())
    with pytest.raises(ConflictError, match="COMPLETED"):
        await desk.resume()


async def test_a_busy_session_keeps_the_pause(desk: Desk) -> None:
    await desk.pause()
    gate = asyncio.Event()
    other = desk.launcher(ScriptedEngine([gate]))
    stream = await other.begin(ANA, "echo", REQUEST, deadline=None)
    with pytest.raises(ConflictError, match=stream.run.id):
        await desk.resume()
    gate.set()
    assert isinstance(stream, RunExecution)
    await read_all(stream)
    await read_all(await desk.resume())
    assert desk.status() == RunStatus.COMPLETED


async def test_a_continuation_that_cannot_begin_is_paused_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.pause()
    monkeypatch.setattr(run_execution, "BEGIN_PATIENCE", timedelta(seconds=0.01))
    desk.store.fails("begin_continuation")
    with pytest.raises(StoreUnavailableError):
        await desk.resume()
    assert desk.status() == RunStatus.PAUSED
    assert len(desk.engine.tasks) == 1
    desk.store.works()
    await read_all(await desk.resume())
    assert desk.status() == RunStatus.COMPLETED


async def test_a_continuation_whose_process_died_before_its_start_is_paused_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.pause()

    async def die(*_args: Any, **_kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunExecution, "begin_again", die)
    with pytest.raises(KeyboardInterrupt):
        await desk.resume()
    monkeypatch.undo()
    assert desk.status() == RunStatus.RUNNING
    desk.clock.advance(18)
    assert settled_state(desk.key, desk.runs).status == RunStatus.PAUSED
    await read_all(await desk.resume())
    assert desk.status() == RunStatus.COMPLETED


async def test_an_agent_that_has_changed_is_paused_again_and_says_so(desk: Desk) -> None:
    desk.engine = ScriptedEngine(BEFORE, resumed=[CannotResumeError("The agent has changed.")])
    desk.here = desk.launcher(desk.engine)
    await desk.pause()
    events = await read_all(await desk.resume())
    assert types(events) == ["START", "METRICS", "PAUSED"]
    run = desk.run
    assert run.status == RunStatus.PAUSED
    assert run.required_action is not None
    assert run.required_action.approvals == CALLS
    assert run.required_action == events[-1].event


async def test_a_paused_run_is_cancelled_at_once_and_says_only_that(desk: Desk) -> None:
    before = await desk.pause()
    desk.cancel()
    assert desk.status() == RunStatus.CANCELLED
    events = await desk.replay()
    assert events[: len(before)] == before
    assert types(events[len(before) :]) == ["CANCELLED"]
    assert events[-1].id == before[-1].id + 1
    with pytest.raises(ConflictError):
        await desk.resume()


async def test_a_cancel_just_before_the_pause_is_not_lost(desk: Desk) -> None:
    before = await desk.pause()
    asked = desk.run.model_copy(update={"cancel_requested": True})
    desk.store.runs[desk.key] = asked
    with pytest.raises(ConflictError, match="CANCELLED"):
        await desk.resume()
    assert (desk.status(), desk.run.error_type) == (RunStatus.CANCELLED, None)
    assert types((await desk.replay())[len(before) :]) == ["CANCELLED"]


async def test_nobody_decides_for_a_day(desk: Desk) -> None:
    await desk.pause()
    desk.clock.advance(24 * 3600 - 1)
    assert settled_state(desk.key, desk.runs).status == RunStatus.PAUSED
    desk.clock.advance(2)
    reader = Principal(tenant="acme", user_id="ana", scopes=WRITE)
    run = get_run(reader, "echo", desk.key.run_id, ports=desk.runs)
    assert (run.status, run.error_type) == (RunStatus.CANCELLED, "APPROVAL_EXPIRED")
    assert types(await desk.replay())[-1] == "CANCELLED"
    with pytest.raises(ConflictError):
        await desk.resume()


async def test_a_paused_run_counts_as_ended_until_it_is_continued(desk: Desk) -> None:
    events = await desk.pause()
    last = events[-1].id
    found = await attach(ANA, "echo", desk.key.run_id, cursor=last, ports=desk.runs)
    assert found is None


async def test_the_result_of_a_continued_run_is_the_whole_runs(desk: Desk) -> None:
    await desk.pause()
    execution = await desk.resume()
    execution.detach()
    await desk.here.ended(execution)
    result = await collect_result(await whole_run(desk.key, desk.runs, is_replay=False))
    assert (result.content, result.status) == ("Asking. Done.", RunStatus.COMPLETED)
    assert [call.tool_output for call in result.tools] == ["done"]
    assert result.required_action is None


async def test_an_approval_leads_to_its_run(desk: Desk) -> None:
    await desk.pause()
    action = desk.run.required_action
    assert action is not None
    found = await run_to_approve(ANA, action.approval_id, desk.runs)
    await read_all(await desk.here.resume(ANA, found, APPROVE, deadline=None))
    with pytest.raises(ConflictError):
        await run_to_approve(ANA, action.approval_id, desk.runs)


async def test_a_second_pause_asks_anew(desk: Desk) -> None:
    second = TurnPaused(pending=CALLS[:1], state="later")
    desk.engine = ScriptedEngine(BEFORE, resumed=[ContentDelta(text="Again. "), second])
    desk.here = desk.launcher(desk.engine)
    first = await desk.pause()
    again = await read_all(await desk.resume())
    assert types(again) == ["START", "CONTENT_DELTA", "METRICS", "PAUSED"]
    asked = [event.event for event in (first[-1], again[-1])]
    assert all(isinstance(event, Paused) for event in asked)
    assert asked[0] != asked[1]
    key = RunKey(tenant="acme", run_id=desk.key.run_id)
    assert desk.store.checkpoint(key).state == "later"
    assert await desk.replay() == first + again


async def test_what_a_frozen_continuation_has_written_stands_in_nobodys_way(desk: Desk) -> None:
    before = await desk.pause()
    late = RecordedEvent(
        id=before[-1].id + 1, timestamp_ms=1, event=ContentDelta(text="from a zombie")
    )
    desk.log.append(desk.key, [late], at=desk.clock.now())
    assert await desk.replay() == before
    desk.cancel()
    assert types((await desk.replay())[len(before) :]) == ["CANCELLED"]
