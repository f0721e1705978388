"""Continuations that begin, and leases that no late write shortens, in every `RunStore`."""

from datetime import datetime, timedelta

import pytest

from agentrun.domain.conversations import FREE
from agentrun.domain.errors import FencedError
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from tests.contract.stores import Stores
from tests.contract.test_run_store_pauses import DECIDED, KEY, SECOND, THIRD, pause_and_resume
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, failed

LATER = SECOND.until + timedelta(seconds=2)
START_ID = 6


def begin(stores: Stores, executor: str = SECOND.executor, *, until: datetime = LATER) -> AgentRun:
    return stores.runs.begin_continuation(KEY, executor, lease_until=until, start_id=START_ID)


def test_a_continuation_begins_in_its_header(stores: Stores) -> None:
    pause_and_resume(stores)
    resumed = stores.runs.get_state(KEY)
    assert not resumed.has_begun
    begun = begin(stores)
    lease = Lease(executor=SECOND.executor, until=LATER)
    assert begun == resumed.model_copy(update={"lease": lease, "last_event_id": START_ID})
    assert begun.has_begun
    assert stores.runs.get_state(KEY) == begun


def test_beginning_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    pause_and_resume(stores)
    assert begin(stores) == begin(stores)


def test_only_the_executor_of_a_resumed_run_begins(stores: Stores) -> None:
    with pytest.raises(FencedError):
        begin(stores)
    pause_and_resume(stores)
    for executor in (EXECUTOR, "nobody"):
        with pytest.raises(FencedError):
            begin(stores, executor)
    stores.runs.finish(KEY, SECOND.executor, failed(last_event_id=8), at=DECIDED)
    with pytest.raises(FencedError):
        begin(stores)


def test_a_beginning_that_comes_after_the_pause_was_restored_is_refused(stores: Stores) -> None:
    pause_and_resume(stores)
    stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    with pytest.raises(FencedError):
        begin(stores)
    restored = stores.runs.get_state(KEY)
    stores.runs.release(restored)
    stores.runs.resume(restored, THIRD, seen=FREE, at=DECIDED)
    with pytest.raises(FencedError):
        begin(stores)
    assert not stores.runs.get_state(KEY).has_begun


def test_a_pause_that_is_restored_has_not_begun_to_go_on(stores: Stores) -> None:
    before = pause_and_resume(stores)
    begin(stores)
    stores.runs.restore_pause(KEY, SECOND.executor, at=DECIDED, paused_id=5)
    run = stores.runs.get_state(KEY)
    assert (run.status, run.last_event_id) == (RunStatus.PAUSED, before.last_event_id)


def test_a_beginning_says_whether_the_run_is_to_be_cancelled(stores: Stores) -> None:
    pause_and_resume(stores)
    assert not begin(stores).cancel_requested
    stores.runs.request_cancel(KEY, at=DECIDED)
    assert begin(stores).cancel_requested


def test_a_late_beginning_takes_nothing_from_the_lease(stores: Stores) -> None:
    pause_and_resume(stores)
    begin(stores)
    renewed = stores.runs.heartbeat(KEY, SECOND.executor, lease_until=THIRD.until)
    assert begin(stores) == renewed
    assert stores.runs.get_state(KEY) == renewed


def test_a_beginning_counts_also_where_its_lease_is_the_shorter_one(stores: Stores) -> None:
    pause_and_resume(stores)
    assert begin(stores, until=SECOND.until - timedelta(seconds=1)).has_begun


@pytest.mark.parametrize("run", [a_run(), a_queued_run()])
def test_a_late_heartbeat_takes_nothing_from_the_lease(stores: Stores, run: AgentRun) -> None:
    stores.runs.start(run, a_request())
    late, renewed = (AT + timedelta(seconds=seconds) for seconds in (18, 21))
    stores.runs.heartbeat(run.key, EXECUTOR, lease_until=renewed)
    stores.runs.request_cancel(a_run().key, at=AT)
    beaten = stores.runs.heartbeat(run.key, EXECUTOR, lease_until=late)
    assert beaten == stores.runs.get_state(run.key)
    assert beaten.lease == Lease(executor=EXECUTOR, until=renewed)
    assert beaten.cancel_requested == (run.status is RunStatus.RUNNING)


def test_a_late_heartbeat_of_another_executor_is_refused(stores: Stores) -> None:
    pause_and_resume(stores)
    with pytest.raises(FencedError):
        stores.runs.heartbeat(KEY, EXECUTOR, lease_until=AT)
