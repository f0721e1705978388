"""Runs that end because nobody goes on with them: lapsed leases, and approvals left undecided."""

from collections.abc import Sequence
from datetime import datetime

from agentrun.domain.events import EventType, RecordedEvent
from agentrun.domain.runs import UNDER_WAY, AgentRun, RunStatus
from agentrun.domain.value import to_milliseconds

LEASE_EXPIRED = "LEASE_EXPIRED"
LEASE_GRACE_S = 2.0
APPROVAL_EXPIRED = "APPROVAL_EXPIRED"


def lease_has_lapsed(run: AgentRun, now: datetime) -> bool:
    """
    Tell whether a run has nobody who goes on with it.

    That is a run whose executor has been silent for longer than lease and grace, or has handed it
    over, one whose approval nobody has decided in time, and one that was paused just after its end
    had been asked for. The next reader has to settle it, unless it `can_go_on`.
    """
    if run.status.is_terminal or run.lease is None:
        return False
    if run.status is RunStatus.PAUSED and run.cancel_requested:
        return True
    if run.status in UNDER_WAY and run.is_handed_over:
        return True
    grace_s = 0.0 if run.status is RunStatus.PAUSED else LEASE_GRACE_S
    return (now - run.lease.until).total_seconds() > grace_s


def can_go_on(run: AgentRun) -> bool:
    """
    Tell whether another executor may go on with a run that has lost its own.

    Not with one that is to be cancelled, with one whose continuation had not begun, or after as
    many attempts as its agent allows.
    """
    if run.status not in UNDER_WAY or run.cancel_requested:
        return False
    if run.is_handed_over or (run.is_background and run.status is RunStatus.QUEUED):
        return True
    return run.has_begun and run.attempt < run.max_attempts


def last_said(run: AgentRun, newest: Sequence[RecordedEvent]) -> int:
    """
    Return the id of the last event that the executor of a run under way has said, as it was lost.

    It stores METRICS and the end before it commits that the run has ended so, and says them only
    then. If it died in between, they count for nothing.

    Args:
        run: The run as its header says.
        newest: The last events of its log, at least two if there are as many; may be none.
    """
    for recorded in newest[-2:]:
        is_metrics = recorded.event.event is EventType.METRICS
        if is_metrics and recorded.id > (run.paused_event_id or 0):
            return recorded.id - 1
    return newest[-1].id if newest else 0


def settled(run: AgentRun, *, last_stored_event_id: int, at: datetime) -> AgentRun:
    """
    Return a run as it is once its lease has lapsed and nobody can go on with it.

    A pause that nobody has decided ends CANCELLED, and so does one that came after a cancel. A
    continuation that has not begun leaves the run PAUSED as it was, or ends it CANCELLED where that
    pause would be over. Any other run has lost its executor: it is CANCELLED where somebody has
    asked for that and it had attempts left, and FAILED otherwise. The end is when the run's time
    was up, however much later somebody sees it.

    Args:
        run: The run as its header says. Anything else, the log included, may have been written by
            an executor that had lost the run.
        last_stored_event_id: The log's last event; the end of a FAILED run has to come after it.
        at: When it is written down; an aware UTC instant.
    """
    if run.status is RunStatus.PAUSED:
        return _undecided(run, at)
    if run.has_begun:
        return _abandoned(run, last_stored_event_id, at)
    again = run.paused_again(at=at)
    return _undecided(run, at) if lease_has_lapsed(again, at) else again


def _undecided(run: AgentRun, at: datetime) -> AgentRun:
    ended_at = min(_undecided_until(run), to_milliseconds(at))
    if run.cancel_requested:
        return run.cancelled(at=at, ended_at=ended_at)
    message = "The approval was not decided in time."
    return run.cancelled(
        at=at, ended_at=ended_at, error_type=APPROVAL_EXPIRED, error_message=message
    )


def _undecided_until(run: AgentRun) -> datetime:
    if not run.cancel_requested:
        return run.paused_until or run.updated_at
    if run.status is RunStatus.PAUSED or run.lease is None:
        # A pause that came after the request to cancel was over as soon as it had begun.
        return run.updated_at
    return run.lease.until


def _abandoned(run: AgentRun, last_stored_event_id: int, at: datetime) -> AgentRun:
    ended_at = min(run.lease.until if run.lease else at, to_milliseconds(at))
    lost = run.lost_by(last_stored_event_id)
    if run.cancel_requested and run.max_attempts > 1:
        return lost.cancelled(at=at, ended_at=ended_at, last_event_id=lost.next_event_id)
    return lost.failed(
        at=at,
        ended_at=ended_at,
        error_type=LEASE_EXPIRED,
        error_message="The run stopped without finishing: its executor is gone.",
        last_event_id=lost.next_event_id,
    )
