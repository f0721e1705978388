"""The ways in which a run may change."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, Lease, RunStatus
from tests.runs import AT, a_run

LATER = AT + timedelta(minutes=1)
LEASE = Lease(executor="executor-2", until=LATER)
FINAL = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
ALLOWED = {
    RunStatus.QUEUED: {RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED},
    RunStatus.RUNNING: {RunStatus.PAUSED, *FINAL},
    RunStatus.PAUSED: {RunStatus.RUNNING, RunStatus.CANCELLED},
}


def failed(run: AgentRun) -> AgentRun:
    return run.failed(
        at=LATER, ended_at=AT, error_type="GONE", error_message="Gone.", last_event_id=9
    )


def cancelled(run: AgentRun) -> AgentRun:
    return run.cancelled(at=LATER, ended_at=AT)


def resumed(run: AgentRun) -> AgentRun:
    return run.resumed(LEASE, at=LATER)


def with_lease(run: AgentRun) -> AgentRun:
    return run.with_lease(LEASE)


@pytest.mark.parametrize("status", RunStatus)
def test_a_status_changes_only_as_the_life_cycle_says(status: RunStatus) -> None:
    allowed = {following for following in RunStatus if status.may_become(following)}
    assert allowed == ALLOWED.get(status, set())
    assert status.is_terminal is (not allowed)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (cancelled, FINAL),
        (failed, (RunStatus.PAUSED, *FINAL)),
        (resumed, (RunStatus.RUNNING, *FINAL)),
        (with_lease, FINAL),
        (AgentRun.queued, (RunStatus.QUEUED, RunStatus.PAUSED, *FINAL)),
    ],
)
def test_a_run_refuses_changes_that_its_status_rules_out(
    change: Callable[[AgentRun], AgentRun], refused: tuple[RunStatus, ...]
) -> None:
    for status in refused:
        with pytest.raises(ValueError, match="'run-1'"):
            change(a_run(status=status))


@pytest.mark.parametrize(
    ("status", "change", "after"),
    [
        (RunStatus.PAUSED, resumed, RunStatus.RUNNING),
        (RunStatus.PAUSED, cancelled, RunStatus.CANCELLED),
        (RunStatus.RUNNING, failed, RunStatus.FAILED),
    ],
)
def test_a_change_of_status_is_counted_and_dated(
    status: RunStatus, change: Callable[[AgentRun], AgentRun], after: RunStatus
) -> None:
    before = a_run(status=status, version=3)
    changed = change(before)
    assert (changed.status, changed.version, changed.updated_at) == (after, 4, LATER)
    assert AgentRun.model_validate(dict(changed)) == changed


def test_only_a_run_that_was_paused_is_paused_again() -> None:
    with pytest.raises(ValueError, match="was paused"):
        a_run().paused_again(at=LATER)


def test_a_run_that_was_stored_is_not_queued() -> None:
    with pytest.raises(ValueError, match="only a new run"):
        a_run(version=2).queued()


def test_what_a_zombie_of_the_last_but_one_execution_stores_is_not_the_last_ones() -> None:
    """The last executor has stored nothing; the zombie comes after its own START."""
    lost = a_run(max_attempts=9).lost_by(2).taken_over(LEASE).lost_by(2).taken_over(LEASE)
    assert lost.gaps == [(2, 2 + EVENT_ID_GAP), (2, 2 + 2 * EVENT_ID_GAP)]
    again = lost.lost_by(2 + EVENT_ID_GAP + 1)
    assert again.lost_after == (2, 2, 2)
    assert again.next_event_id == 2 + 3 * EVENT_ID_GAP
