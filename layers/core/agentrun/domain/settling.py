"""Runs that end because nobody goes on with them: lapsed leases, and approvals left undecided."""

from datetime import datetime

from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, RunStatus
from agentrun.domain.value import to_milliseconds

LEASE_EXPIRED = "LEASE_EXPIRED"
LEASE_GRACE_S = 2.0
APPROVAL_EXPIRED = "APPROVAL_EXPIRED"


def lease_has_lapsed(run: AgentRun, now: datetime) -> bool:
    """
    Tell whether the next reader of a run has to settle it.

    That is a run whose executor has been silent for longer than lease and grace, one whose approval
    nobody has decided in time, and one that was paused just after its end had been asked for.
    """
    if run.status.is_terminal or run.lease is None:
        return False
    if run.status is RunStatus.PAUSED and run.cancel_requested:
        return True
    grace_s = 0.0 if run.status is RunStatus.PAUSED else LEASE_GRACE_S
    return (now - run.lease.until).total_seconds() > grace_s


def settled(run: AgentRun, *, last_stored_event_id: int, at: datetime) -> AgentRun:
    """
    Return a run as it is once its lease has lapsed.

    A pause that nobody has decided ends CANCELLED, and so does one that came after a cancel. A
    continuation that has not begun leaves the run PAUSED as it was, or ends it CANCELLED where that
    pause would be over. Any other run has lost its executor and is FAILED. The end is when the
    run's time was up, however much later somebody sees it.

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
    return run.failed(
        at=at,
        ended_at=min(run.lease.until if run.lease else at, to_milliseconds(at)),
        error_type=LEASE_EXPIRED,
        error_message="The run stopped without finishing: its executor is gone.",
        last_event_id=max(_committed(run), last_stored_event_id) + EVENT_ID_GAP,
    )


def _committed(run: AgentRun) -> int:
    """
    Return the last event that was said for certain: the pause, or the START of a new run.

    Not the START of a continuation: its executor may not have lived to store it, and what it
    stores after the run's end must not appear in a replay.
    """
    return run.paused_event_id or 1
