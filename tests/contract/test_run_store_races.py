"""Several at once on the DynamoDB adapter: conditions decide, and there is one winner."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import count
from threading import Barrier

import pytest

from agentrun.domain.conversations import FREE
from agentrun.domain.errors import AgentrunError, ConflictError, FencedError, SessionBusyError
from agentrun.domain.requests import IdempotencyClaim
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from tests.contract.stores import Stores
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, completed, paused

LATER = AT + timedelta(seconds=9)
SECOND = Lease(executor="executor-2", until=LATER + timedelta(seconds=15))
THIRD = Lease(executor="executor-3", until=LATER + timedelta(seconds=15))
TENANTS = (f"tenant-{number}" for number in count(1))
ROUNDS = range(8)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Make calls at the same moment, each in a thread; gives answers, errors among them."""
    start = Barrier(len(calls))

    def made(call: Callable[[], object]) -> object:
        start.wait(10)
        try:
            return call()
        except AgentrunError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(made, calls))


def kinds(answers: list[object]) -> list[str]:
    return sorted(type(answer).__name__ for answer in answers)


def a_paused_run(stores: Stores, tenant: str) -> AgentRun:
    run = a_run(org_id=tenant)
    stores.runs.start(run, a_request())
    stores.runs.release(run)
    return stores.runs.finish(run.key, EXECUTOR, paused(), at=LATER)


@pytest.mark.parametrize("_", ROUNDS)
def test_of_two_starts_in_a_session_one_wins(atomic_table: Stores, _: int) -> None:
    store, tenant = atomic_table.runs, next(TENANTS)
    runs = [a_run(f"run-{number}", org_id=tenant) for number in range(2)]
    answers = at_once(*(partial(store.start, run, a_request()) for run in runs))
    (winner,) = (answer for answer in answers if isinstance(answer, str))
    (busy,) = (answer for answer in answers if isinstance(answer, SessionBusyError))
    assert busy.lock.active == winner
    assert list(store.get_many([run.key for run in runs], with_text=False)) == [
        a_run(winner, org_id=tenant).key
    ]


@pytest.mark.parametrize("_", ROUNDS)
def test_two_starts_with_one_claim_are_one_run(atomic_table: Stores, _: int) -> None:
    store, tenant = atomic_table.runs, next(TENANTS)
    claim = IdempotencyClaim(key_hash="k", fingerprint="f")
    runs = [a_run(f"run-{n}", org_id=tenant, session_id=f"s{n}") for n in range(2)]
    answers = at_once(*(partial(store.start, run, a_request(), claim) for run in runs))
    assert answers[0] == answers[1]
    assert len(store.get_many([run.key for run in runs], with_text=False)) == 1


@pytest.mark.parametrize("_", ROUNDS)
def test_all_who_queue_at_once_are_in_the_queue(atomic_table: Stores, _: int) -> None:
    store, tenant = atomic_table.runs, next(TENANTS)
    runs = [a_queued_run(f"run-{number}", org_id=tenant) for number in range(4)]
    answers = at_once(*(partial(store.start, run, a_request()) for run in runs))
    with pytest.raises(SessionBusyError) as busy:
        store.start(a_run("late", org_id=tenant), a_request())
    assert sorted(busy.value.lock.queue) == sorted(map(str, answers))


@pytest.mark.parametrize("_", ROUNDS)
def test_of_two_who_resume_one_wins(atomic_table: Stores, _: int) -> None:
    store = atomic_table.runs
    run = a_paused_run(atomic_table, next(TENANTS))
    answers = at_once(
        lambda: store.resume(run, SECOND, seen=FREE, at=LATER),
        lambda: store.resume(run, THIRD, seen=FREE, at=LATER),
    )
    assert kinds(answers) == ["ConflictError", "NoneType"]
    winner = SECOND if answers[0] is None else THIRD
    assert store.get_state(run.key).lease == winner


@pytest.mark.parametrize("_", ROUNDS)
def test_a_session_is_resumed_in_or_used_for_another_run(atomic_table: Stores, _: int) -> None:
    store = atomic_table.runs
    run = a_paused_run(atomic_table, next(TENANTS))
    other = a_run("run-2", org_id=run.org_id)
    answers = at_once(
        lambda: store.resume(run, SECOND, seen=FREE, at=LATER),
        lambda: store.start(other, a_request()),
    )
    (busy,) = (answer for answer in answers if isinstance(answer, SessionBusyError))
    states = store.get_many([run.key, other.key], with_text=False).values()
    running = [state.id for state in states if state.status is RunStatus.RUNNING]
    assert running == [busy.lock.active]


@pytest.mark.parametrize("_", ROUNDS)
def test_a_cancel_is_not_lost_when_the_run_takes_its_turn(atomic_table: Stores, _: int) -> None:
    store = atomic_table.runs
    run = a_queued_run(org_id=next(TENANTS))
    store.start(run, a_request())
    with pytest.raises(SessionBusyError) as busy:
        store.start(a_run("late", org_id=run.org_id), a_request())
    turn, _cancel = at_once(
        lambda: store.begin_queued(run, EXECUTOR, seen=busy.value.lock, at=LATER),
        lambda: store.request_cancel(run.key, at=LATER),
    )
    state = store.get_state(run.key)
    if isinstance(turn, FencedError):
        assert state.status is RunStatus.CANCELLED
    else:
        assert (state.status, state.cancel_requested) == (RunStatus.RUNNING, True)


@pytest.mark.parametrize("_", ROUNDS)
def test_a_cancel_is_not_lost_when_the_run_goes_on(atomic_table: Stores, _: int) -> None:
    store = atomic_table.runs
    run = a_paused_run(atomic_table, next(TENANTS))
    resumed, _cancel = at_once(
        lambda: store.resume(run, SECOND, seen=FREE, at=LATER),
        lambda: store.request_cancel(run.key, at=LATER),
    )
    state = store.get_state(run.key)
    if isinstance(resumed, ConflictError):
        assert state.status is RunStatus.CANCELLED
    else:
        assert (state.status, state.cancel_requested) == (RunStatus.RUNNING, True)


@pytest.mark.parametrize("_", ROUNDS)
def test_a_run_that_is_finished_and_given_up_at_once_ends_once(
    atomic_table: Stores, _: int
) -> None:
    store = atomic_table.runs
    run = a_run(org_id=next(TENANTS))
    store.start(run, a_request())
    finished, expired = at_once(
        lambda: store.finish(run.key, EXECUTOR, completed(), at=LATER),
        lambda: store.expire(run, at=LATER),
    )
    state = store.get_state(run.key)
    assert expired == state
    assert (state.version, isinstance(finished, FencedError)) == (
        2,
        state.status is RunStatus.FAILED,
    )
