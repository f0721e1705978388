"""One run at a time in a session, in every `RunStore`."""

from datetime import timedelta

import pytest

from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.errors import (
    FencedError,
    RunNotFoundError,
    SessionBusyError,
    SessionNotFoundError,
)
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from tests.contract.stores import Stores
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, completed, failed

LATER = AT + timedelta(seconds=9)
HELD = SessionLock(active="run-1", active_by=EXECUTOR)


def lock_of(stores: Stores) -> SessionLock:
    """Return the session's lock as a run that comes too late is told of it."""
    nobodys = SessionLock(active="nobody")
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.start(a_run("late"), a_request(), seen=nobodys)
    return refused.value.lock


def wait_behind(stores: Stores, *run_ids: str) -> None:
    stores.runs.start(a_run(), a_request())
    for run_id in run_ids:
        stores.runs.start(a_queued_run(run_id), a_request())


def end(stores: Stores, *run_ids: str) -> None:
    """End runs without letting go of their session."""
    for run_id in run_ids:
        stores.runs.finish(a_run(run_id).key, EXECUTOR, completed(), at=LATER)


def test_a_running_run_takes_its_sessions_lock(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert lock_of(stores) == HELD


def test_a_second_run_is_refused_and_nothing_of_it_is_written(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.start(a_run("run-2"), a_request())
    assert refused.value.lock == HELD
    assert lock_of(stores) == HELD
    with pytest.raises(RunNotFoundError):
        stores.runs.get(a_run("run-2").key)


def test_a_lock_whose_holder_was_found_dead_is_taken_over(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    end(stores, "run-1")
    assert stores.runs.start(a_run("run-2"), a_request(), seen=HELD) == "run-2"
    assert lock_of(stores) == SessionLock(active="run-2", active_by=EXECUTOR)


def test_a_lock_that_was_taken_over_meanwhile_is_not_taken_again(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    end(stores, "run-1")
    stores.runs.start(a_run("run-2"), a_request(), seen=HELD)
    end(stores, "run-2")
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.start(a_run("run-3"), a_request(), seen=HELD)
    assert refused.value.lock == SessionLock(active="run-2", active_by=EXECUTOR)


@pytest.mark.parametrize(
    "seen",
    [
        FREE,
        HELD,
        SessionLock(active="run-1", active_by=EXECUTOR, queue=("run-2",)),
        SessionLock(active="run-1", active_by=EXECUTOR, queue=("run-3", "run-2")),
        SessionLock(queue=("run-2", "run-3")),
    ],
)
def test_the_whole_lock_has_to_be_as_seen(stores: Stores, seen: SessionLock) -> None:
    wait_behind(stores, "run-2", "run-3")
    end(stores, "run-1", "run-2")
    with pytest.raises(SessionBusyError):
        stores.runs.start(a_run("run-4"), a_request(), seen=seen)
    with pytest.raises(SessionBusyError):
        stores.runs.begin_queued(a_queued_run("run-3"), EXECUTOR, seen=seen, at=LATER)
    assert lock_of(stores) == SessionLock(
        active="run-1", active_by=EXECUTOR, queue=("run-2", "run-3")
    )


def test_a_lock_seen_in_a_session_that_is_not_there_is_not_as_seen(stores: Stores) -> None:
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.start(
            a_run(), a_request(), seen=SessionLock(active="run-0", active_by=EXECUTOR)
        )
    assert refused.value.lock == FREE


def test_taking_over_leaves_none_of_those_found_dead_behind(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3")
    end(stores, "run-1", "run-2", "run-3")
    seen = SessionLock(active="run-1", active_by=EXECUTOR, queue=("run-2", "run-3"))
    stores.runs.start(a_run("run-4"), a_request(), seen=seen)
    assert lock_of(stores) == SessionLock(active="run-4", active_by=EXECUTOR)


def test_queued_runs_wait_in_the_order_of_their_start(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3")
    assert lock_of(stores) == SessionLock(
        active="run-1", active_by=EXECUTOR, queue=("run-2", "run-3")
    )
    stored = stores.runs.get(a_queued_run().key)
    assert stored == a_queued_run()
    assert (stored.status, stored.started_at, stored.last_event_id) == (RunStatus.QUEUED, None, 1)


def test_a_run_may_queue_in_a_session_of_its_own(stores: Stores) -> None:
    stores.runs.start(a_queued_run(), a_request())
    assert lock_of(stores) == SessionLock(queue=("run-2",))


def test_queueing_again_finds_ones_own_work(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-2")
    assert lock_of(stores) == SessionLock(active="run-1", active_by=EXECUTOR, queue=("run-2",))


@pytest.mark.parametrize("change", [{"user_id": "bob"}, {"agent_id": "analyst"}])
def test_nobody_else_queues_in_a_session(stores: Stores, change: dict[str, str]) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(SessionNotFoundError):
        stores.runs.start(a_queued_run(**change), a_request())
    assert lock_of(stores) == HELD


def test_a_queued_run_takes_its_turn(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3")
    end(stores, "run-1")
    seen = lock_of(stores)
    run = stores.runs.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=LATER)
    assert (run.status, run.started_at, run.updated_at) == (RunStatus.RUNNING, LATER, LATER)
    assert (run.version, run.input, run.lease) == (2, None, a_run().lease)
    assert stores.runs.get_state(run.key) == run
    assert lock_of(stores) == SessionLock(active="run-2", active_by=EXECUTOR, queue=("run-3",))


def test_those_ahead_leave_the_queue_with_ones_turn(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3", "run-4")
    end(stores, "run-1", "run-2")
    stores.runs.begin_queued(a_queued_run("run-3"), EXECUTOR, seen=lock_of(stores), at=LATER)
    assert lock_of(stores) == SessionLock(active="run-3", active_by=EXECUTOR, queue=("run-4",))


def test_taking_ones_turn_again_is_a_success(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    end(stores, "run-1")
    seen = lock_of(stores)
    first = stores.runs.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=LATER)
    again = AT + timedelta(seconds=11)
    assert stores.runs.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=again) == first


def test_a_turn_has_the_lease_that_was_renewed_while_waiting(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    end(stores, "run-1")
    until = AT + timedelta(seconds=40)
    stores.runs.heartbeat(a_queued_run().key, EXECUTOR, lease_until=until)
    run = stores.runs.begin_queued(a_queued_run(), EXECUTOR, seen=lock_of(stores), at=LATER)
    assert run.lease == Lease(executor=EXECUTOR, until=until)


def test_no_lock_is_taken_from_a_holder_that_lives(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    with pytest.raises(SessionBusyError):
        stores.runs.begin_queued(a_queued_run(), EXECUTOR, seen=lock_of(stores), at=LATER)
    with pytest.raises(SessionBusyError):
        stores.runs.start(a_run("run-4"), a_request(), seen=lock_of(stores))
    assert stores.runs.get_state(a_queued_run().key).status is RunStatus.QUEUED


def test_a_lock_that_another_execution_of_its_run_holds_is_not_as_seen(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    end(stores, "run-1")
    seen = HELD.model_copy(update={"active_by": "executor-0"})
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.start(a_run("run-2"), a_request(), seen=seen)
    assert refused.value.lock == HELD


@pytest.mark.parametrize("leaver", ["run-2", "run-3", "run-4"])
def test_a_run_that_ends_before_its_turn_leaves_the_queue(stores: Stores, leaver: str) -> None:
    wait_behind(stores, "run-2", "run-3", "run-4")
    stores.runs.finish(a_run(leaver).key, EXECUTOR, failed(), at=LATER)
    for _ in range(2):
        stores.runs.release(a_queued_run(leaver))
    left = tuple(run_id for run_id in ("run-2", "run-3", "run-4") if run_id != leaver)
    assert lock_of(stores) == HELD.model_copy(update={"queue": left})


def test_the_last_one_to_leave_leaves_no_queue(stores: Stores) -> None:
    stores.runs.start(a_queued_run(), a_request())
    stores.runs.release(a_queued_run())
    assert lock_of(stores) == FREE
    assert stores.runs.start(a_run(), a_request()) == "run-1"


def test_a_queued_run_that_had_its_turn_lets_go_of_the_lock(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3")
    end(stores, "run-1")
    stores.runs.begin_queued(a_queued_run(), EXECUTOR, seen=lock_of(stores), at=LATER)
    stores.runs.release(a_queued_run())
    assert lock_of(stores) == SessionLock(queue=("run-3",))


def test_a_waiting_run_that_is_cancelled_or_lapses_leaves_the_queue(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3", "run-4")
    stores.runs.request_cancel(a_run("run-2").key, at=LATER)
    stores.runs.expire(a_queued_run("run-4"), at=LATER)
    assert lock_of(stores) == HELD.model_copy(update={"queue": ("run-3",)})


def test_who_joins_takes_the_dead_out_if_the_lock_is_as_seen(stores: Stores) -> None:
    wait_behind(stores, "run-2", "run-3")
    end(stores, "run-2")
    seen = lock_of(stores)
    with pytest.raises(SessionBusyError) as refused:
        stores.runs.start(a_queued_run("run-4"), a_request(), seen=HELD, dead=["run-2"])
    assert refused.value.lock == seen
    stores.runs.start(a_queued_run("run-4"), a_request(), seen=seen, dead=["run-2"])
    assert lock_of(stores) == HELD.model_copy(update={"queue": ("run-3", "run-4")})


@pytest.mark.parametrize("run", [a_run(), a_queued_run("run-1")], ids=["running", "queued"])
def test_a_start_that_had_succeeded_has_the_lease_of_its_last_try(
    stores: Stores, run: AgentRun
) -> None:
    stores.runs.start(run, a_request())
    until = LATER + timedelta(seconds=15)
    later = run.model_copy(update={"lease": Lease(executor=EXECUTOR, until=until)})
    assert stores.runs.start(later, a_request()) == run.id
    assert stores.runs.get_state(run.key).lease == later.lease


@pytest.mark.parametrize("run", [a_run(), a_queued_run("run-1")], ids=["running", "queued"])
def test_a_start_that_had_succeeded_and_ended_since_is_fenced(
    stores: Stores, run: AgentRun
) -> None:
    stores.runs.start(run, a_request())
    stores.runs.expire(run, at=LATER)
    with pytest.raises(FencedError):
        stores.runs.start(run, a_request())
    assert stores.runs.get_state(run.key).status is RunStatus.FAILED


def test_somebody_elses_turn_is_not_taken(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    end(stores, "run-1")
    with pytest.raises(FencedError):
        stores.runs.begin_queued(a_queued_run(), "executor-2", seen=lock_of(stores), at=LATER)
    assert lock_of(stores) == SessionLock(active="run-1", active_by=EXECUTOR, queue=("run-2",))


def test_a_run_that_was_cancelled_or_is_missing_takes_no_turn(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    end(stores, "run-1")
    stores.runs.request_cancel(a_queued_run().key, at=LATER)
    for run_id in ("run-2", "nobody"):
        with pytest.raises(FencedError):
            stores.runs.begin_queued(a_queued_run(run_id), EXECUTOR, seen=lock_of(stores), at=LATER)
    assert lock_of(stores).active == "run-1"


def test_a_released_session_is_free(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    stores.runs.release(a_run())
    assert stores.runs.start(a_run("run-2"), a_request()) == "run-2"


def test_releasing_keeps_the_queue(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    stores.runs.release(a_run())
    assert lock_of(stores) == SessionLock(queue=("run-2",))


def test_only_the_holder_releases(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    others = Lease(executor="executor-2", until=LATER)
    for run in (a_run("run-2"), a_run("nobody", session_id="nowhere"), a_run(lease=others)):
        stores.runs.release(run)
    assert lock_of(stores) == SessionLock(active="run-1", active_by=EXECUTOR, queue=("run-2",))
    stores.runs.release(a_run())
    stores.runs.release(a_run())
    assert lock_of(stores) == SessionLock(queue=("run-2",))


def test_a_queued_run_can_end_before_its_turn(stores: Stores) -> None:
    wait_behind(stores, "run-2")
    ended = stores.runs.finish(a_queued_run().key, EXECUTOR, failed(), at=LATER)
    assert (ended.status, ended.started_at, ended.version) == (RunStatus.FAILED, None, 2)
