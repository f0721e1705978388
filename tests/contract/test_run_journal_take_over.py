"""Runs that pass from one executor to the next, in every `RunJournal`."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import FencedError, SessionBusyError
from agentrun.domain.events import Metrics, RecordedEvent, RunEvent, Stop
from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, Lease, RunStatus
from agentrun.domain.steps import Answered, Step
from tests.contract.stores import Stores
from tests.contract.test_run_store_pauses import KEY, pause_and_resume
from tests.contract.test_run_store_races import ROUNDS, at_once, kinds
from tests.contract.test_run_store_turns import lock_of
from tests.runs import AT, EXECUTOR, USED, a_queued_run, a_request, a_run, completed, deltas

LATER = AT + timedelta(seconds=20)
SECOND = Lease(executor="executor-2", until=LATER + timedelta(seconds=15))
THIRD = Lease(executor="executor-3", until=LATER + timedelta(seconds=90))
MUCH_LATER = SECOND.until + timedelta(seconds=5)
STEP = Step(number=1, event_id=4, content=Answered(message="{}"))
TENANTS = (f"taken-{number}" for number in count(1))


def start(stores: Stores, **changes: Any) -> AgentRun:
    run = a_run(max_attempts=3, **changes)
    stores.runs.start(run, a_request())
    return stores.runs.get_state(run.key)


def start_and_lose(stores: Stores) -> AgentRun:
    """Take a run over that was lost with four events stored."""
    seen = start(stores)
    stores.log.append(KEY, deltas(1, 4), at=AT)
    return stores.journal.take_over(seen, SECOND, at=LATER)


def test_a_lost_run_goes_on_under_another_executor(stores: Stores) -> None:
    seen = start(stores)
    stores.log.append(KEY, deltas(1, 4), at=AT)
    run = stores.journal.take_over(seen, SECOND, at=LATER)
    changes = {
        "lease": SECOND,
        "attempt": 2,
        "lost_after": (4,),
        "last_event_id": 4 + EVENT_ID_GAP,
        "updated_at": LATER,
    }
    assert run == seen.model_copy(update=changes)
    assert stores.runs.get_state(KEY) == run
    assert lock_of(stores) == SessionLock(active=KEY.run_id, active_by=SECOND.executor)


END = (Metrics(), Stop(run_id=KEY.run_id))
"""What an executor stores before its run has ended."""


def as_events(first: int, *events: RunEvent) -> list[RecordedEvent]:
    return [
        RecordedEvent(id=number, timestamp_ms=1, event=event)
        for number, event in enumerate(events, first)
    ]


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("said", [1, 2])
def test_an_end_that_was_never_committed_was_not_said(
    stores: Stores, said: int, parts: int
) -> None:
    seen = start(stores)
    events = [*deltas(1, 4), *as_events(5, *END[:said])]
    first = len(events) if parts == 1 else 5
    for segment in (events[:first], events[first:]):
        if segment:
            stores.log.append(KEY, segment, at=AT)
    run = stores.journal.take_over(seen, SECOND, at=LATER)
    assert (run.lost_after, run.last_event_id) == ((4,), 4 + EVENT_ID_GAP)


def test_the_pause_before_a_lost_continuation_was_said(stores: Stores) -> None:
    paused = pause_and_resume(stores)
    assert paused.required_action is not None
    stores.log.append(KEY, as_events(4, Metrics(), paused.required_action), at=AT)
    begun = stores.runs.begin_continuation(
        KEY, SECOND.executor, lease_until=SECOND.until, start_id=6
    )
    assert stores.journal.take_over(begun, THIRD, at=MUCH_LATER).lost_after == (5,)


def test_a_run_that_is_lost_again_counts_from_its_last_start(stores: Stores) -> None:
    taken = start_and_lose(stores)
    # A zombie's, stored late; nothing of the new executor is stored.
    stores.log.append(KEY, deltas(5, 7), at=LATER)
    run = stores.journal.take_over(taken, THIRD, at=MUCH_LATER)
    start_id = 4 + EVENT_ID_GAP
    assert (run.attempt, run.lost_after) == (3, (4, 4))
    assert run.last_event_id == start_id + EVENT_ID_GAP


def test_a_lost_continuation_goes_on_after_what_its_log_has(stores: Stores) -> None:
    paused = pause_and_resume(stores)
    assert paused.last_event_id == 5
    begun = stores.runs.begin_continuation(
        KEY, SECOND.executor, lease_until=SECOND.until, start_id=6
    )
    run = stores.journal.take_over(begun, THIRD, at=MUCH_LATER)
    assert (run.lost_after, run.last_event_id) == ((5,), 5 + EVENT_ID_GAP)


def test_a_run_that_is_handed_over_loses_nothing(stores: Stores) -> None:
    start(stores)
    stores.journal.hand_over(KEY, EXECUTOR, at=LATER, last_event_id=9, used=USED)
    seen = stores.runs.get_state(KEY)
    assert seen.used == USED
    assert (seen.is_handed_over, seen.last_event_id) == (True, 9)
    assert seen.lease == Lease(executor=EXECUTOR, until=LATER)
    run = stores.journal.take_over(seen, SECOND, at=LATER)
    changes = {"lease": SECOND, "is_handed_over": False, "last_event_id": 10}
    assert run == seen.model_copy(update=changes)
    assert stores.runs.get_state(KEY) == run
    assert lock_of(stores) == SessionLock(active=KEY.run_id, active_by=SECOND.executor)


def test_a_run_that_was_handed_over_may_be_lost_afterwards(stores: Stores) -> None:
    start(stores)
    stores.log.append(KEY, deltas(1, 9), at=AT)
    stores.journal.hand_over(KEY, EXECUTOR, at=LATER, last_event_id=9, used=USED)
    taken = stores.journal.take_over(stores.runs.get_state(KEY), SECOND, at=LATER)
    run = stores.journal.take_over(taken, THIRD, at=MUCH_LATER)
    assert (run.attempt, run.lost_after) == (2, (9,))
    assert run.last_event_id == 9 + EVENT_ID_GAP


def test_a_queued_run_only_gets_another_lease(stores: Stores) -> None:
    start(stores)
    stores.runs.start(a_queued_run(), a_request())
    seen, lock = stores.runs.get_state(a_queued_run().key), lock_of(stores)
    run = stores.journal.take_over(seen, SECOND, at=LATER)
    assert run == seen.model_copy(update={"lease": SECOND})
    assert stores.runs.get_state(run.key) == run
    assert lock_of(stores) == lock
    assert lock.queue == (run.id,)


def test_the_lock_of_a_queued_run_goes_with_it(stores: Stores) -> None:
    run = a_queued_run(is_background=True)
    stores.runs.start(run, a_request())
    assert lock_of(stores) == SessionLock(active=run.id, active_by=EXECUTOR)
    taken = stores.journal.take_over(stores.runs.get_state(run.key), SECOND, at=LATER)
    lock = lock_of(stores)
    assert lock == SessionLock(active=run.id, active_by=SECOND.executor)
    begun = stores.runs.begin_queued(taken, SECOND.executor, seen=lock, at=LATER)
    assert (begun.status, begun.attempt) == (RunStatus.RUNNING, 1)


def test_a_run_is_taken_over_as_it_was_seen(stores: Stores) -> None:
    seen = start(stores)
    stores.runs.heartbeat(KEY, EXECUTOR, lease_until=LATER)
    with pytest.raises(FencedError):
        stores.journal.take_over(seen, SECOND, at=LATER)
    seen = stores.runs.get_state(KEY)
    until = LATER + timedelta(seconds=1)
    stores.journal.write(KEY, EXECUTOR, STEP, deltas(2, 4), at=LATER, lease_until=until)
    with pytest.raises(FencedError):
        stores.journal.take_over(seen, SECOND, at=LATER)
    assert stores.runs.get_state(KEY).lease == Lease(executor=EXECUTOR, until=until)


@pytest.mark.parametrize("state", ["ended", "gone", "began", "handed over"])
def test_a_run_that_has_changed_is_not_taken_over(stores: Stores, state: str) -> None:
    if state == "began":
        seen = a_queued_run("run-1")
        stores.runs.start(seen, a_request())
        stores.runs.begin_queued(seen, EXECUTOR, seen=lock_of(stores), at=AT)
    else:
        seen = a_run() if state == "gone" else start(stores)
    if state == "ended":
        stores.runs.finish(KEY, EXECUTOR, completed(), at=LATER)
    if state == "handed over":
        assert seen.lease
        stores.journal.hand_over(KEY, EXECUTOR, at=seen.lease.until, last_event_id=1, used=USED)
    with pytest.raises(FencedError):
        stores.journal.take_over(seen, SECOND, at=LATER)


def test_a_cancel_in_between_goes_with_the_run(stores: Stores) -> None:
    seen = start(stores)
    stores.runs.request_cancel(KEY, at=LATER)
    run = stores.journal.take_over(seen, SECOND, at=LATER)
    assert (run.cancel_requested, run.lease) == (True, SECOND)


def test_taking_over_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    seen = start(stores)
    first = stores.journal.take_over(seen, SECOND, at=LATER)
    assert stores.journal.take_over(seen, SECOND, at=MUCH_LATER) == first
    assert stores.runs.get_state(KEY) == first


def test_a_run_that_was_taken_over_is_not_for_another_one(stores: Stores) -> None:
    seen = start(stores)
    taken = stores.journal.take_over(seen, SECOND, at=LATER)
    with pytest.raises(FencedError):
        stores.journal.take_over(seen, THIRD, at=LATER)
    assert stores.runs.get_state(KEY) == taken


def write_late(stores: Stores) -> None:
    stores.journal.write(KEY, EXECUTOR, STEP, deltas(2, 4), at=LATER, lease_until=THIRD.until)


LATE_WRITES: dict[str, Callable[[Stores], object]] = {
    "heartbeat": lambda stores: stores.runs.heartbeat(KEY, EXECUTOR, lease_until=THIRD.until),
    "finish": lambda stores: stores.runs.finish(KEY, EXECUTOR, completed(), at=LATER),
    "step": write_late,
    "hand over": lambda stores: stores.journal.hand_over(
        KEY, EXECUTOR, at=LATER, last_event_id=3, used=USED
    ),
}


@pytest.mark.parametrize("late", LATE_WRITES)
def test_a_zombie_writes_nothing(stores: Stores, late: str) -> None:
    taken = start_and_lose(stores)
    with pytest.raises(FencedError):
        LATE_WRITES[late](stores)
    assert stores.runs.get_state(KEY) == taken
    assert not stores.journal.steps(KEY)


@pytest.mark.parametrize("late", ["heartbeat", "finish", "step"])
def test_who_has_handed_over_writes_nothing(stores: Stores, late: str) -> None:
    start(stores)
    stores.journal.hand_over(KEY, EXECUTOR, at=LATER, last_event_id=1, used=USED)
    seen = stores.runs.get_state(KEY)
    with pytest.raises(FencedError):
        LATE_WRITES[late](stores)
    assert stores.runs.get_state(KEY) == seen
    assert not stores.journal.steps(KEY)


def test_handing_over_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    start(stores)
    for at in (LATER, MUCH_LATER):
        stores.journal.hand_over(KEY, EXECUTOR, at=at, last_event_id=1, used=USED)
    assert stores.runs.get_state(KEY).lease == Lease(executor=EXECUTOR, until=LATER)


@pytest.mark.parametrize("state", ["ended", "gone", "another's"])
def test_only_who_has_a_run_hands_it_over(stores: Stores, state: str) -> None:
    if state != "gone":
        start(stores)
    if state == "ended":
        stores.runs.finish(KEY, EXECUTOR, completed(), at=LATER)
    executor = "executor-9" if state == "another's" else EXECUTOR
    with pytest.raises(FencedError):
        stores.journal.hand_over(KEY, executor, at=LATER, last_event_id=1, used=USED)


def test_a_zombie_does_not_let_go_of_the_session(stores: Stores) -> None:
    taken = start_and_lose(stores)
    stores.runs.release(a_run())
    with pytest.raises(SessionBusyError):
        stores.runs.start(a_run("run-2"), a_request())
    with pytest.raises(SessionBusyError):
        stores.runs.start(a_run("run-2"), a_request(), seen=lock_of(stores))
    stores.runs.finish(KEY, SECOND.executor, completed(last_event_id=1_000_009), at=LATER)
    stores.runs.release(taken)
    stores.runs.start(a_run("run-2"), a_request())


def test_a_lost_run_takes_back_a_session_that_nobody_has(stores: Stores) -> None:
    seen = start(stores)
    stores.runs.start(a_queued_run(), a_request())
    stores.runs.release(seen)
    stores.journal.take_over(seen, SECOND, at=LATER)
    lock = SessionLock(active=KEY.run_id, active_by=SECOND.executor, queue=("run-2",))
    assert lock_of(stores) == lock


def test_a_lost_run_leaves_a_session_to_who_has_it(stores: Stores) -> None:
    seen = start(stores)
    stores.runs.release(seen)
    stores.runs.start(a_run("run-2"), a_request())
    lock = lock_of(stores)
    assert stores.journal.take_over(seen, SECOND, at=LATER).lease == SECOND
    assert lock_of(stores) == lock


def test_one_of_many_asks_for_an_executor(stores: Stores) -> None:
    seen = start(stores)
    assert [stores.journal.may_ask(seen, at=LATER) for _ in range(3)] == [True, False, False]
    almost = LATER + timedelta(seconds=14.9)
    assert not stores.journal.may_ask(seen, at=almost)
    assert stores.journal.may_ask(seen, at=LATER + timedelta(seconds=15))
    assert stores.runs.get_state(KEY) == seen


def test_nobody_asks_for_what_has_an_executor_or_is_over(stores: Stores) -> None:
    seen = start(stores)
    taken = stores.journal.take_over(seen, SECOND, at=LATER)
    assert not stores.journal.may_ask(seen, at=LATER)
    stores.runs.finish(KEY, SECOND.executor, completed(last_event_id=1_000_009), at=LATER)
    assert not stores.journal.may_ask(taken, at=LATER)
    assert not stores.journal.may_ask(a_run("nobody"), at=LATER)


def test_after_a_take_over_the_next_loss_is_asked_for_at_once(stores: Stores) -> None:
    seen = start(stores)
    assert stores.journal.may_ask(seen, at=LATER)
    taken = stores.journal.take_over(seen, SECOND, at=LATER)
    assert stores.journal.may_ask(taken, at=LATER + timedelta(seconds=1))


@pytest.mark.parametrize("_", ROUNDS)
def test_of_two_who_take_over_one_wins(atomic_table: Stores, _: int) -> None:
    journal = atomic_table.journal
    seen = start(atomic_table, org_id=next(TENANTS))
    answers = at_once(
        partial(journal.take_over, seen, SECOND, at=LATER),
        partial(journal.take_over, seen, THIRD, at=LATER),
    )
    assert kinds(answers) == ["AgentRun", "FencedError"]
    (winner,) = (answer for answer in answers if isinstance(answer, AgentRun))
    assert atomic_table.runs.get_state(seen.key) == winner
    lock = atomic_table.conversations.lock(seen.org_id, seen.session_id)
    assert winner.lease
    assert lock.active_by == winner.lease.executor


@pytest.mark.parametrize("_", ROUNDS)
def test_a_step_or_a_take_over_comes_first(atomic_table: Stores, _: int) -> None:
    journal = atomic_table.journal
    seen = start(atomic_table, org_id=next(TENANTS))
    until = LATER + timedelta(seconds=15)
    kept, taken = at_once(
        partial(journal.write, seen.key, EXECUTOR, STEP, deltas(2, 4), at=LATER, lease_until=until),
        partial(journal.take_over, seen, SECOND, at=LATER),
    )
    assert not (isinstance(kept, AgentRun) and isinstance(taken, AgentRun))
    steps = journal.steps(seen.key)
    assert bool(steps) is (atomic_table.runs.get_state(seen.key).lease != SECOND)


@pytest.mark.parametrize("_", ROUNDS)
def test_of_many_at_once_one_asks(atomic_table: Stores, _: int) -> None:
    seen = start(atomic_table, org_id=next(TENANTS))
    answers = at_once(*[partial(atomic_table.journal.may_ask, seen, at=LATER)] * 4)
    assert sorted(map(bool, answers)) == [False, False, False, True]
