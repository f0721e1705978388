"""Runs that wait for a human, in every `RunStore`."""

import random
from datetime import timedelta

import pytest

from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.errors import ConflictError, FencedError, SessionBusyError
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from tests.contract.stores import Stores
from tests.contract.test_run_store_turns import lock_of
from tests.runs import AT, EXECUTOR, PAUSED_UNTIL, a_request, a_run, completed, failed, paused

LATER = AT + timedelta(seconds=9)
DECIDED = AT + timedelta(hours=5)
SECOND = Lease(executor="executor-2", until=DECIDED + timedelta(seconds=15))
THIRD = Lease(executor="executor-3", until=DECIDED + timedelta(seconds=90))
KEY = a_run().key


def pause(stores: Stores, **changes: object) -> AgentRun:
    stores.runs.start(a_run(), a_request())
    return finish_paused(stores, **changes)


def finish_paused(stores: Stores, **changes: object) -> AgentRun:
    run = stores.runs.finish(KEY, EXECUTOR, paused(**changes), at=LATER)  # type: ignore[arg-type] # fields of an outcome
    stores.runs.release(run)
    return run


def pause_and_resume(stores: Stores) -> AgentRun:
    seen = pause(stores)
    stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    return seen


def test_a_paused_run_says_what_it_waits_for_and_until_when(stores: Stores) -> None:
    run = pause(stores)
    assert (run.status, run.required_action) == (RunStatus.PAUSED, paused().required_action)
    assert (run.paused_until, run.lease) == (
        PAUSED_UNTIL,
        Lease(executor=EXECUTOR, until=PAUSED_UNTIL),
    )
    assert (run.completed_at, run.last_event_id, run.version) == (None, 5, 2)
    assert stores.runs.get_state(KEY) == run
    assert stores.runs.get(KEY).output == "so far"


def test_a_pause_is_in_a_batch_too(stores: Stores) -> None:
    run = pause(stores)
    assert stores.runs.get_many([KEY], with_text=False)[KEY] == run


def test_pausing_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    assert pause(stores) == finish_paused(stores)


def test_a_pause_fences_its_executor_off(stores: Stores) -> None:
    pause(stores)
    with pytest.raises(FencedError):
        stores.runs.heartbeat(KEY, EXECUTOR, lease_until=LATER)
    with pytest.raises(FencedError):
        stores.runs.finish(KEY, EXECUTOR, completed(), at=LATER)


def test_a_large_request_to_a_human_is_kept(stores: Stores) -> None:
    letters = "".join(random.Random(1).choices("abcdefgh", k=100_000))
    action = paused().required_action
    call = action.approvals[0].model_copy(update={"arguments": {"text": letters}})
    action = action.model_copy(update={"approvals": (call,)})
    pause(stores, required_action=action)
    assert stores.runs.get(KEY).required_action == action


def test_a_resumed_run_is_running_under_its_new_lease(stores: Stores) -> None:
    before = pause_and_resume(stores)
    run = stores.runs.get_state(KEY)
    assert run == before.model_copy(
        update={
            "status": RunStatus.RUNNING,
            "lease": SECOND,
            "updated_at": DECIDED,
            "version": 3,
        }
    )
    assert lock_of(stores) == SessionLock(active=KEY.run_id, active_by=SECOND.executor)
    assert stores.runs.heartbeat(KEY, SECOND.executor, lease_until=THIRD.until).version == 3


def test_a_resumed_run_holds_another_slot(stores: Stores) -> None:
    seen = pause(stores)
    stores.runs.resume(seen.holding(LATER), SECOND, seen=FREE, at=DECIDED)
    assert stores.runs.get_state(KEY).slot_until == LATER


def test_a_pause_is_resumed_once(stores: Stores) -> None:
    seen = pause_and_resume(stores)
    with pytest.raises(ConflictError):
        stores.runs.resume(seen, THIRD, seen=FREE, at=DECIDED)
    with pytest.raises(ConflictError):
        stores.runs.resume(seen, THIRD, seen=lock_of(stores), at=DECIDED)
    assert stores.runs.get_state(KEY).lease == SECOND


def test_resuming_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    seen = pause_and_resume(stores)
    stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    assert stores.runs.get_state(KEY).version == 3


def test_a_later_pause_is_not_resumed_for_an_earlier_one(stores: Stores) -> None:
    first = pause_and_resume(stores)
    outcome = paused(last_event_id=9)
    second = stores.runs.finish(KEY, SECOND.executor, outcome, at=DECIDED)
    stores.runs.release(second)
    with pytest.raises(ConflictError):
        stores.runs.resume(first, THIRD, seen=FREE, at=DECIDED)
    stores.runs.resume(second, THIRD, seen=FREE, at=DECIDED)
    assert stores.runs.get_state(KEY).required_action == outcome.required_action


def test_a_pause_that_has_lasted_too_long_is_not_resumed(stores: Stores) -> None:
    seen = pause(stores)
    with pytest.raises(ConflictError):
        stores.runs.resume(seen, SECOND, seen=FREE, at=PAUSED_UNTIL)
    moment_before = PAUSED_UNTIL - timedelta(milliseconds=1)
    stores.runs.resume(seen, SECOND, seen=FREE, at=moment_before)
    assert stores.runs.get_state(KEY).status is RunStatus.RUNNING


def test_only_a_paused_run_is_resumed(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(ConflictError):
        stores.runs.resume(a_run(), SECOND, seen=lock_of(stores), at=DECIDED)
    with pytest.raises(ConflictError):
        stores.runs.resume(a_run("nobody"), SECOND, seen=FREE, at=DECIDED)


def test_a_run_is_not_resumed_while_another_one_uses_its_session(stores: Stores) -> None:
    seen = pause(stores)
    stores.runs.start(a_run("run-2"), a_request())
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    assert refused.value.lock == SessionLock(active="run-2", active_by=EXECUTOR)
    with pytest.raises(SessionBusyError):
        stores.runs.resume(seen, SECOND, seen=refused.value.lock, at=DECIDED)
    assert stores.runs.get_state(KEY) == seen
    stores.runs.finish(a_run("run-2").key, EXECUTOR, completed(), at=DECIDED)
    stores.runs.resume(seen, SECOND, seen=refused.value.lock, at=DECIDED)
    assert lock_of(stores) == SessionLock(active=KEY.run_id, active_by=SECOND.executor)


def test_a_paused_run_that_held_on_to_its_session_is_not_passed_once_it_goes_on(
    stores: Stores,
) -> None:
    stores.runs.start(a_run(), a_request())
    before = stores.runs.finish(KEY, EXECUTOR, paused(), at=LATER)
    held = lock_of(stores)
    stores.runs.resume(before, SECOND, seen=held, at=DECIDED)
    # The same run as while it was paused and in nobody's way, but another execution of it.
    assert lock_of(stores) == held.model_copy(update={"active_by": SECOND.executor})
    with pytest.raises(SessionBusyError):
        stores.runs.start(a_run("run-2"), a_request(), seen=held)
    # Late, as its execution before the pause may be.
    stores.runs.release(before)
    with pytest.raises(SessionBusyError):
        stores.runs.start(a_run("run-2"), a_request())
    stores.runs.release(a_run(lease=SECOND))
    assert lock_of(stores) == FREE


def test_a_run_that_is_to_be_cancelled_is_not_resumed(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.request_cancel(KEY, at=AT)
    seen = finish_paused(stores)
    assert seen.cancel_requested
    with pytest.raises(ConflictError):
        stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    assert stores.runs.get_state(KEY) == seen
    assert lock_of(stores) == FREE


def test_a_restored_pause_is_as_it_was_and_can_be_resumed(stores: Stores) -> None:
    before = pause_and_resume(stores)
    stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    run = stores.runs.get_state(KEY)
    lease = Lease(executor=SECOND.executor, until=PAUSED_UNTIL)
    assert run == before.model_copy(update={"lease": lease, "updated_at": DECIDED, "version": 4})
    stores.runs.release(run)
    stores.runs.resume(run, THIRD, seen=FREE, at=DECIDED)
    assert stores.runs.checkpoint(KEY) == paused().checkpoint


def test_restoring_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    pause_and_resume(stores)
    for _ in range(2):
        stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    assert stores.runs.get_state(KEY).version == 4


def test_a_restored_pause_stays_to_be_cancelled(stores: Stores) -> None:
    pause_and_resume(stores)
    stores.runs.request_cancel(KEY, at=DECIDED)
    stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    run = stores.runs.get_state(KEY)
    assert (run.status, run.cancel_requested) == (RunStatus.PAUSED, True)


def test_only_the_executor_of_a_resumed_run_restores_its_pause(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(FencedError):
        stores.runs.restore_pause(KEY, EXECUTOR, at=DECIDED, paused_id=5)
    seen = finish_paused(stores)
    stores.runs.resume(seen, SECOND, seen=FREE, at=DECIDED)
    for executor in (EXECUTOR, "nobody"):
        with pytest.raises(FencedError):
            stores.runs.restore_pause(KEY, executor, at=DECIDED, paused_id=5)
    stores.runs.finish(KEY, SECOND.executor, failed(last_event_id=7), at=DECIDED)
    with pytest.raises(FencedError):
        stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    with pytest.raises(FencedError):
        stores.runs.restore_pause(a_run("nobody").key, EXECUTOR, at=DECIDED, paused_id=5)
