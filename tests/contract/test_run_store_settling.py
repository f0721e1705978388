"""What becomes of runs that nobody looks after, and of those to be cancelled, in every store."""

from datetime import timedelta

import pytest

from agentrun.domain.conversations import FREE
from agentrun.domain.endings import APPROVAL_EXPIRED, LEASE_EXPIRED
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.runs import Lease, RunStatus
from tests.contract.stores import Stores
from tests.contract.test_run_store_begin import begin
from tests.contract.test_run_store_pauses import (
    DECIDED,
    KEY,
    SECOND,
    THIRD,
    pause,
    pause_and_resume,
)
from tests.runs import (
    AT,
    EXECUTOR,
    PAUSED_UNTIL,
    a_queued_run,
    a_request,
    a_run,
    completed,
    deltas,
    paused,
)

LATER = AT + timedelta(seconds=9)
LONG_AFTER = DECIDED + timedelta(hours=1)


def test_a_lapsed_run_expires_once_with_a_gap_after_its_last_event(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.log.append(a_run().key, deltas(1, 5), at=AT)
    seen = stores.runs.get(a_run().key)
    ended = stores.runs.expire(seen, at=LATER)
    assert (ended.status, ended.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    assert (ended.last_event_id, ended.duration_ms) == (1_000_005, 9_000)
    assert (ended.completed_at, ended.updated_at) == (LATER, LATER)
    assert stores.runs.expire(seen, at=LATER + timedelta(seconds=5)) == ended


def test_a_run_has_ended_with_its_lease_whenever_that_is_written_down(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    ended = stores.runs.expire(stores.runs.get_state(a_run().key), at=LONG_AFTER)
    until = AT + timedelta(seconds=15)
    assert (ended.completed_at, ended.duration_ms) == (until, 15_000)
    assert ended.updated_at == LONG_AFTER
    assert stores.runs.get_state(a_run().key) == ended


def test_settling_keeps_the_texts_that_were_seen(stores: Stores) -> None:
    pause_and_resume(stores)
    stores.runs.begin_continuation(KEY, SECOND.executor, lease_until=SECOND.until, start_id=6)
    seen = stores.runs.get(KEY)
    ended = stores.runs.settle(seen, at=LONG_AFTER)
    assert (ended.status, ended.output) == (RunStatus.FAILED, "so far")
    assert stores.runs.get(KEY) == ended


def test_who_settles_too_late_has_seen_another_state(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    seen = stores.runs.get(a_run().key)
    stores.runs.finish(seen.key, EXECUTOR, completed(), at=LATER)
    for run in (seen, stores.runs.get(seen.key), a_run("run-9")):
        with pytest.raises(FencedError):
            stores.runs.settle(run, at=LONG_AFTER)


def test_a_run_whose_lease_was_renewed_meanwhile_does_not_expire(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    seen = stores.runs.get(a_run().key)
    for seconds in (16, 30):
        until = AT + timedelta(seconds=seconds)
        stores.runs.heartbeat(seen.key, EXECUTOR, lease_until=until)
        assert stores.runs.expire(seen, at=LATER).status is RunStatus.RUNNING


def test_an_expired_runs_executor_is_fenced(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.expire(stores.runs.get(a_run().key), at=LATER)
    with pytest.raises(FencedError):
        stores.runs.heartbeat(a_run().key, EXECUTOR, lease_until=LATER)
    with pytest.raises(FencedError):
        stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    assert stores.runs.get(a_run().key).error_type == LEASE_EXPIRED


def test_a_queued_run_expires_like_a_running_one(stores: Stores) -> None:
    stores.runs.start(a_queued_run(), a_request())
    ended = stores.runs.expire(a_queued_run(), at=LATER)
    assert (ended.status, ended.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    assert (ended.last_event_id, ended.duration_ms) == (1_000_001, None)
    assert stores.runs.get_state(ended.key) == ended


def test_an_approval_that_nobody_decides_cancels_its_run(stores: Stores) -> None:
    seen = pause(stores)
    ended = stores.runs.expire(seen, at=PAUSED_UNTIL)
    assert (ended.status, ended.error_type) == (RunStatus.CANCELLED, APPROVAL_EXPIRED)
    assert (ended.completed_at, ended.last_event_id, ended.version) == (PAUSED_UNTIL, 6, 3)
    assert stores.runs.get_state(KEY) == ended
    assert stores.runs.expire(seen, at=PAUSED_UNTIL) == ended


def test_an_approval_ends_with_its_time_whenever_that_is_written_down(stores: Stores) -> None:
    much_later = PAUSED_UNTIL + timedelta(days=9)
    ended = stores.runs.expire(pause(stores), at=much_later)
    assert (ended.completed_at, ended.updated_at) == (PAUSED_UNTIL, much_later)
    assert stores.runs.get_state(KEY) == ended


def test_a_pause_that_came_after_a_cancel_has_ended_as_it_began(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.request_cancel(KEY, at=AT)
    seen = stores.runs.finish(KEY, EXECUTOR, paused(), at=LATER)
    ended = stores.runs.expire(seen, at=LONG_AFTER)
    assert (ended.status, ended.error_type) == (RunStatus.CANCELLED, None)
    assert (ended.completed_at, ended.updated_at) == (LATER, LONG_AFTER)


@pytest.mark.parametrize("stray", [0, 3])
def test_a_continuation_that_never_began_is_paused_again_whatever_is_in_the_log(
    stores: Stores, stray: int
) -> None:
    before = pause_and_resume(stores)
    if stray:
        stores.log.append(KEY, deltas(6, 5 + stray), at=DECIDED)
    settled = stores.runs.expire(stores.runs.get_state(KEY), at=LONG_AFTER)
    lease = Lease(executor=SECOND.executor, until=PAUSED_UNTIL)
    assert settled == before.model_copy(
        update={"lease": lease, "updated_at": LONG_AFTER, "version": 4}
    )
    assert stores.runs.get_state(KEY) == settled
    stores.runs.release(settled)
    stores.runs.resume(settled, THIRD, seen=FREE, at=LONG_AFTER)
    assert stores.runs.get_state(KEY).status is RunStatus.RUNNING


@pytest.mark.parametrize(("stored", "last"), [(0, 1_000_005), (2, 1_000_007)])
def test_a_continuation_that_began_and_died_has_failed(
    stores: Stores, stored: int, last: int
) -> None:
    pause_and_resume(stores)
    begin(stores)
    if stored:
        stores.log.append(KEY, deltas(6, 5 + stored), at=DECIDED)
    ended = stores.runs.expire(stores.runs.get_state(KEY), at=LONG_AFTER)
    assert (ended.status, ended.last_event_id) == (RunStatus.FAILED, last)


def test_a_continuation_that_begins_under_its_readers_eyes_does_not_expire(
    stores: Stores,
) -> None:
    pause_and_resume(stores)
    seen = stores.runs.get_state(KEY)
    begin(stores, until=SECOND.until)
    assert stores.runs.expire(seen, at=LONG_AFTER).status is RunStatus.RUNNING


def test_a_cancel_under_its_readers_eyes_is_not_lost(stores: Stores) -> None:
    pause_and_resume(stores)
    seen = stores.runs.get_state(KEY)
    stores.runs.request_cancel(KEY, at=LONG_AFTER)
    asked = stores.runs.expire(seen, at=LONG_AFTER)
    assert (asked.status, asked.cancel_requested) == (RunStatus.RUNNING, True)
    assert stores.runs.expire(asked, at=LONG_AFTER).status is RunStatus.CANCELLED


def test_a_continuation_that_was_cancelled_before_it_began_ends_with_its_lease(
    stores: Stores,
) -> None:
    pause_and_resume(stores)
    stores.runs.request_cancel(KEY, at=DECIDED)
    much_later = PAUSED_UNTIL + timedelta(days=9)
    ended = stores.runs.expire(stores.runs.get_state(KEY), at=much_later)
    assert (ended.status, ended.error_type) == (RunStatus.CANCELLED, None)
    assert (ended.completed_at, ended.updated_at) == (SECOND.until, much_later)
    assert (ended.last_event_id, ended.version) == (6, 4)
    assert stores.runs.get_state(KEY) == ended


def test_a_continuation_that_never_began_ends_with_its_pause_if_that_is_over(
    stores: Stores,
) -> None:
    pause_and_resume(stores)
    much_later = PAUSED_UNTIL + timedelta(days=9)
    ended = stores.runs.expire(stores.runs.get_state(KEY), at=much_later)
    assert (ended.status, ended.error_type) == (RunStatus.CANCELLED, APPROVAL_EXPIRED)
    assert (ended.completed_at, ended.updated_at) == (PAUSED_UNTIL, much_later)
    assert (ended.last_event_id, ended.version) == (6, 4)
    assert stores.runs.get_state(KEY) == ended


def test_a_pause_that_was_resumed_meanwhile_does_not_expire(stores: Stores) -> None:
    seen = pause_and_resume(stores)
    assert stores.runs.expire(seen, at=PAUSED_UNTIL).status is RunStatus.RUNNING


def test_a_missing_run_does_not_expire(stores: Stores) -> None:
    with pytest.raises(RunNotFoundError):
        stores.runs.expire(a_run(), at=LATER)


def test_a_cancel_request_comes_back_with_the_next_heartbeat(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.request_cancel(a_run().key, at=LATER)
    assert stores.runs.heartbeat(a_run().key, EXECUTOR, lease_until=LATER).cancel_requested


def test_a_cancel_request_for_an_ended_or_missing_run_changes_nothing(stores: Stores) -> None:
    stores.runs.request_cancel(a_run("nobody").key, at=LATER)
    stores.runs.start(a_run(), a_request())
    ended = stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    stores.runs.request_cancel(a_run().key, at=LATER)
    assert stores.runs.get_state(a_run().key) == ended


@pytest.mark.parametrize("times", [1, 2])
def test_a_queued_run_is_cancelled_at_once(stores: Stores, times: int) -> None:
    stores.runs.start(a_queued_run(), a_request())
    for _ in range(times):
        stores.runs.request_cancel(a_queued_run().key, at=LATER)
    run = stores.runs.get_state(a_queued_run().key)
    assert (run.status, run.completed_at, run.updated_at) == (RunStatus.CANCELLED, LATER, LATER)
    assert (run.last_event_id, run.version, run.error_type) == (2, 2, None)
    with pytest.raises(FencedError):
        stores.runs.heartbeat(run.key, EXECUTOR, lease_until=LATER)


def test_a_paused_run_is_cancelled_at_once(stores: Stores) -> None:
    seen = pause(stores)
    stores.runs.request_cancel(KEY, at=DECIDED)
    run = stores.runs.get_state(KEY)
    assert (run.status, run.completed_at, run.last_event_id) == (RunStatus.CANCELLED, DECIDED, 6)
    assert (run.version, run.total_tokens) == (3, paused().metrics.total_tokens)
    assert stores.runs.expire(seen, at=PAUSED_UNTIL) == run


def test_a_resumed_run_is_asked_to_end(stores: Stores) -> None:
    pause_and_resume(stores)
    stores.runs.request_cancel(KEY, at=DECIDED)
    beaten = stores.runs.heartbeat(KEY, SECOND.executor, lease_until=SECOND.until)
    assert (beaten.status, beaten.cancel_requested) == (RunStatus.RUNNING, True)
