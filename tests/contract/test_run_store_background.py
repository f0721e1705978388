"""Runs that wait for an executor with their session's lock, in every `RunStore`."""

from datetime import timedelta
from functools import partial
from itertools import count

import pytest

from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.errors import SessionBusyError
from agentrun.domain.runs import AgentRun, RunStatus
from tests.contract.stores import Stores
from tests.contract.test_run_store_races import ROUNDS, at_once
from tests.contract.test_run_store_turns import lock_of
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, completed

LATER = AT + timedelta(seconds=9)
TENANTS = (f"background-{number}" for number in count(1))


def a_background_run(run_id: str = "run-1", **changes: object) -> AgentRun:
    return a_queued_run(run_id, is_background=True, **changes)


RUN = a_background_run()
HELD = SessionLock(active=RUN.id, active_by=EXECUTOR)


def test_a_background_run_waits_with_the_lock_of_a_free_session(stores: Stores) -> None:
    stores.runs.start(RUN, a_request())
    assert stores.runs.get(RUN.key) == RUN
    assert lock_of(stores) == HELD


def test_nobody_passes_a_background_run_that_waits(stores: Stores) -> None:
    stores.runs.start(RUN, a_request())
    for seen in (FREE, HELD):
        for other in (a_run("run-2"), a_background_run("run-2")):
            with pytest.raises(SessionBusyError) as busy:
                stores.runs.start(other, a_request(), seen=seen, dead=(seen.active or "",))
            assert busy.value.lock == HELD


def test_a_background_run_queues_behind_who_lives(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    waiting = a_background_run("run-2")
    stores.runs.start(waiting, a_request(), seen=HELD)
    assert lock_of(stores) == HELD.model_copy(update={"queue": (waiting.id,)})


def test_a_background_run_takes_the_lock_of_the_dead(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.start(a_queued_run("run-2"), a_request())
    seen = lock_of(stores)
    stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    run = a_background_run("run-3")
    stores.runs.start(run, a_request(), seen=seen, dead=("run-1", "run-2"))
    assert lock_of(stores) == SessionLock(active=run.id, active_by=EXECUTOR)


def test_who_waits_behind_a_background_run_keeps_the_place(stores: Stores) -> None:
    stores.runs.start(RUN, a_request())
    stores.runs.start(a_queued_run("run-2"), a_request())
    seen = lock_of(stores)
    assert (seen.before(RUN.id), seen.before("run-2")) == ((), (RUN.id,))
    begun = stores.runs.begin_queued(RUN, EXECUTOR, seen=seen, at=LATER)
    assert (begun.status, begun.started_at) == (RunStatus.RUNNING, LATER)
    assert lock_of(stores) == seen
    stores.runs.finish(RUN.key, EXECUTOR, completed(), at=LATER)
    stores.runs.release(RUN)
    assert lock_of(stores) == SessionLock(queue=("run-2",))


@pytest.mark.parametrize("way", ["cancelled", "settled", "released"])
def test_a_background_run_that_ends_unbegun_lets_go(stores: Stores, way: str) -> None:
    stores.runs.start(RUN, a_request())
    if way == "cancelled":
        stores.runs.request_cancel(RUN.key, at=LATER)
    elif way == "settled":
        stores.runs.settle(stores.runs.get(RUN.key), at=LATER + timedelta(hours=1))
    else:
        stores.runs.release(RUN)
    assert lock_of(stores) == FREE


def test_storing_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    for _ in range(2):
        assert stores.runs.start(RUN, a_request()) == RUN.id
    assert lock_of(stores) == HELD


@pytest.mark.parametrize("_", ROUNDS)
def test_of_two_background_starts_at_once_one_wins(atomic_table: Stores, _: int) -> None:
    store, tenant = atomic_table.runs, next(TENANTS)
    runs = [a_background_run(f"run-{number}", org_id=tenant) for number in range(2)]
    answers = at_once(*(partial(store.start, run, a_request()) for run in runs))
    (winner,) = (answer for answer in answers if isinstance(answer, str))
    (busy,) = (answer for answer in answers if isinstance(answer, SessionBusyError))
    assert busy.lock == SessionLock(active=winner, active_by=EXECUTOR)


def test_a_start_that_is_tried_again_is_the_same_start(stores: Stores) -> None:
    """The first try was applied and its reply lost; the run waits for an executor from there on."""
    run = a_run().in_background()
    for _ in range(2):
        assert stores.runs.start(run, a_request()) == run.id
    again = run.renewed(LATER)
    assert stores.runs.start(again, a_request()) == run.id
    assert stores.runs.get(run.key) == again
