"""Pausing a run for a human and continuing it: nothing lost, nothing done twice."""

import asyncio
from datetime import timedelta
from typing import Any

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
    RecordedEvent,
)
from agentrun.domain.principal import Principal
from agentrun.domain.runs import RunKey, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing import execution as run_execution
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.follow import attach, whole_run
from agentrun.service.reading.result import collect_result
from agentrun.service.reading.runs import get_run, settled_state
from agentrun.service.starting.continue_run import paused_run, run_to_approve
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, WRITE, read_all, types
from tests.runs import SESSION
from tests.unit.core.service.pause_rig import APPROVE, BEFORE, CALLS, PAUSE, REQUEST, PauseRig

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig() -> PauseRig:
    return PauseRig()


async def test_a_pause_ends_the_stream_and_is_durable_first(rig: PauseRig) -> None:
    events = await rig.pause()
    assert types(events) == ["START", "CONTENT_DELTA", "METRICS", "PAUSED"]
    paused = events[-1].event
    assert isinstance(paused, Paused)
    assert paused.approvals == CALLS
    run = rig.run
    assert (run.status, run.output, run.completed_at) == (RunStatus.PAUSED, "Asking. ", None)
    assert run.required_action == paused
    assert rig.conversations.lock("acme", SESSION) == SessionLock()
    assert await rig.replay() == events


async def test_a_continuation_goes_on_where_the_run_was_paused(rig: PauseRig) -> None:
    before = await rig.pause()
    after = await read_all(await rig.resume())
    assert types(after) == [
        "START",
        "TOOL_START",
        "TOOL_END",
        "CONTENT_DELTA",
        "METRICS",
        "STOP",
    ]
    assert [event.id for event in before + after] == list(range(1, 11))
    run = rig.run
    assert (run.status, run.output) == (RunStatus.COMPLETED, "Asking. Done.")
    assert run.total_tokens == 12
    metrics = after[-2].event
    assert isinstance(metrics, Metrics)
    assert metrics.llm_calls == 3
    assert await rig.replay() == before + after
    assert await rig.replay(cursor=4) == after


async def test_the_engine_is_given_its_state_and_the_decisions(rig: PauseRig) -> None:
    await rig.pause()
    decisions = (
        Decision(id="c2", action=ApprovalAction.REJECT, reason="too many"),
        Decision(id="c1", action=ApprovalAction.APPROVE, arguments={"shares": 2}),
    )
    await read_all(await rig.resume(ContinueRequest(decisions=decisions)))
    resumption = rig.engine.tasks[1].resumption
    assert resumption is not None
    assert (resumption.state, resumption.decisions) == (PAUSE.state, decisions[::-1])
    assert rig.engine.tasks[1].message == "Buy 10 AMZN"


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
async def test_each_pending_call_is_decided_once(rig: PauseRig, request_: ContinueRequest) -> None:
    await rig.pause()
    with pytest.raises(InvalidRequestError, match="c1, c2"):
        await rig.resume(request_)
    assert rig.status() == RunStatus.PAUSED


@pytest.mark.parametrize("body", [{}, {"action": "APPROVE", "decisions": []}, {"action": "MAYBE"}])
def test_exactly_one_of_action_and_decisions_is_taken(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"action|decisions"):
        ContinueRequest.model_validate(body)


async def test_changed_arguments_have_to_fit_the_tool(rig: PauseRig) -> None:
    await rig.pause()
    decisions = tuple(
        Decision(id=name, action=ApprovalAction.APPROVE, arguments={"shares": shares})
        for name, shares in (("c1", 2), ("c2", "many"))
    )
    with pytest.raises(InvalidRequestError) as refused:
        await rig.resume(ContinueRequest(decisions=decisions))
    assert [name for name, _ in refused.value.params] == ["decisions.1.arguments.shares"]
    assert rig.status() is RunStatus.PAUSED


async def test_a_guarded_agents_run_is_continued_with_its_scope_only(rig: PauseRig) -> None:
    await rig.pause()
    guarded = rig.run.model_copy(update={"agent_id": "guarded"})
    rig.store.runs[rig.key] = guarded
    found = await paused_run(ANA, "guarded", rig.key.run_id, rig.runs)
    with pytest.raises(ForbiddenError, match="agents:guarded"):
        await rig.here.resume(ANA, found, APPROVE, deadline=None)
    assert rig.status() is RunStatus.PAUSED


async def test_of_two_who_continue_at_once_one_wins(rig: PauseRig) -> None:
    await rig.pause()
    answers = await asyncio.gather(rig.resume(), rig.resume(), return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, ConflictError)]
    won = [answer for answer in answers if isinstance(answer, RunExecution)]
    assert (len(lost), len(won)) == (1, 1)
    await read_all(won[0])
    assert len(rig.engine.tasks) == 2


async def test_a_run_that_is_not_paused_is_not_continued(rig: PauseRig) -> None:
    await rig.pause()
    await read_all(await rig.resume())
    with pytest.raises(ConflictError, match="COMPLETED"):
        await rig.resume()


async def test_a_busy_session_keeps_the_pause(rig: PauseRig) -> None:
    await rig.pause()
    gate = asyncio.Event()
    other = rig.launcher(ScriptedEngine([gate]))
    stream = await other.begin(ANA, "echo", REQUEST, deadline=None)
    with pytest.raises(ConflictError, match=stream.run.id):
        await rig.resume()
    gate.set()
    assert isinstance(stream, RunExecution)
    await read_all(stream)
    await read_all(await rig.resume())
    assert rig.status() == RunStatus.COMPLETED


async def test_a_continuation_that_cannot_begin_is_paused_again(
    rig: PauseRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.pause()
    monkeypatch.setattr(run_execution, "BEGIN_PATIENCE", timedelta(seconds=0.01))
    rig.store.fails("begin_continuation")
    with pytest.raises(StoreUnavailableError):
        await rig.resume()
    assert rig.status() == RunStatus.PAUSED
    assert len(rig.engine.tasks) == 1
    rig.store.works()
    await read_all(await rig.resume())
    assert rig.status() == RunStatus.COMPLETED


async def test_a_continuation_whose_process_died_before_its_start_is_paused_again(
    rig: PauseRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.pause()

    async def die(*_args: Any, **_kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunExecution, "begin_again", die)
    with pytest.raises(KeyboardInterrupt):
        await rig.resume()
    monkeypatch.undo()
    assert rig.status() == RunStatus.RUNNING
    rig.clock.advance(18)
    assert settled_state(rig.key, rig.runs).status == RunStatus.PAUSED
    await read_all(await rig.resume())
    assert rig.status() == RunStatus.COMPLETED


async def test_an_agent_that_has_changed_is_paused_again_and_says_so(rig: PauseRig) -> None:
    rig.engine = ScriptedEngine(BEFORE, resumed=[CannotResumeError("The agent has changed.")])
    rig.here = rig.launcher(rig.engine)
    await rig.pause()
    events = await read_all(await rig.resume())
    assert types(events) == ["START", "METRICS", "PAUSED"]
    run = rig.run
    assert run.status == RunStatus.PAUSED
    assert run.required_action is not None
    assert run.required_action.approvals == CALLS
    assert run.required_action == events[-1].event


async def test_a_paused_run_is_cancelled_at_once_and_says_only_that(rig: PauseRig) -> None:
    before = await rig.pause()
    rig.cancel()
    assert rig.status() == RunStatus.CANCELLED
    events = await rig.replay()
    assert events[: len(before)] == before
    assert types(events[len(before) :]) == ["CANCELLED"]
    assert events[-1].id == before[-1].id + 1
    with pytest.raises(ConflictError):
        await rig.resume()


async def test_a_cancel_just_before_the_pause_is_not_lost(rig: PauseRig) -> None:
    before = await rig.pause()
    asked = rig.run.model_copy(update={"cancel_requested": True})
    rig.store.runs[rig.key] = asked
    with pytest.raises(ConflictError, match="CANCELLED"):
        await rig.resume()
    assert (rig.status(), rig.run.error_type) == (RunStatus.CANCELLED, None)
    assert types((await rig.replay())[len(before) :]) == ["CANCELLED"]


async def test_nobody_decides_for_a_day(rig: PauseRig) -> None:
    await rig.pause()
    rig.clock.advance(24 * 3600 - 1)
    assert settled_state(rig.key, rig.runs).status == RunStatus.PAUSED
    rig.clock.advance(2)
    reader = Principal(tenant="acme", user_id="ana", scopes=WRITE)
    run = get_run(reader, "echo", rig.key.run_id, ports=rig.runs)
    assert (run.status, run.error_type) == (RunStatus.CANCELLED, "APPROVAL_EXPIRED")
    assert types(await rig.replay())[-1] == "CANCELLED"
    with pytest.raises(ConflictError):
        await rig.resume()


async def test_a_paused_run_counts_as_ended_until_it_is_continued(rig: PauseRig) -> None:
    events = await rig.pause()
    last = events[-1].id
    found = await attach(ANA, "echo", rig.key.run_id, cursor=last, ports=rig.runs)
    assert found is None


async def test_the_result_of_a_continued_run_is_the_whole_runs(rig: PauseRig) -> None:
    await rig.pause()
    execution = await rig.resume()
    execution.detach()
    await rig.here.ended(execution)
    result = await collect_result(await whole_run(rig.key, rig.runs, is_replay=False))
    assert (result.content, result.status) == ("Asking. Done.", RunStatus.COMPLETED)
    assert [call.tool_output for call in result.tools] == ["done"]
    assert result.required_action is None


async def test_an_approval_leads_to_its_run(rig: PauseRig) -> None:
    await rig.pause()
    action = rig.run.required_action
    assert action is not None
    found = await run_to_approve(ANA, action.approval_id, rig.runs)
    await read_all(await rig.here.resume(ANA, found, APPROVE, deadline=None))
    with pytest.raises(ConflictError):
        await run_to_approve(ANA, action.approval_id, rig.runs)


async def test_a_second_pause_asks_anew(rig: PauseRig) -> None:
    second = TurnPaused(pending=CALLS[:1], state="later")
    rig.engine = ScriptedEngine(BEFORE, resumed=[ContentDelta(text="Again. "), second])
    rig.here = rig.launcher(rig.engine)
    first = await rig.pause()
    again = await read_all(await rig.resume())
    assert types(again) == ["START", "CONTENT_DELTA", "METRICS", "PAUSED"]
    asked = [event.event for event in (first[-1], again[-1])]
    assert all(isinstance(event, Paused) for event in asked)
    assert asked[0] != asked[1]
    key = RunKey(tenant="acme", run_id=rig.key.run_id)
    assert rig.store.checkpoint(key).state == "later"
    assert await rig.replay() == first + again


async def test_what_a_frozen_continuation_has_written_stands_in_nobodys_way(rig: PauseRig) -> None:
    before = await rig.pause()
    late = RecordedEvent(
        id=before[-1].id + 1, timestamp_ms=1, event=ContentDelta(text="from a zombie")
    )
    rig.log.append(rig.key, [late], at=rig.clock.now())
    assert await rig.replay() == before
    rig.cancel()
    assert types((await rig.replay())[len(before) :]) == ["CANCELLED"]
