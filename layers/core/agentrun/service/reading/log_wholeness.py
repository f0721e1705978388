"""Whether the events that are found of a run are all that there have been."""

from collections.abc import Sequence

from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import LEASE_EXPIRED, LEASE_EXPIRED_ID_GAP, AgentRun, RunStatus


def is_broken(run: AgentRun, stored: Sequence[RecordedEvent], *, after: int) -> bool:
    """
    Tell whether events are missing that a run has had.

    Args:
        run: The run, as it was before its log was read.
        stored: What the log has after an id, or the first of it.
        after: That id; START, whose id is 1, is told by the run itself.
    """
    if run.status.is_terminal or run.status is RunStatus.PAUSED:
        stored = [recorded for recorded in stored if recorded.id <= _last_id(run)]
    if not stored:
        return after < _stored_up_to(run)
    ids = [recorded.id for recorded in stored]
    return ids != list(range(after + 1, after + 1 + len(ids)))


def _last_id(run: AgentRun) -> int:
    """Return the last id that the log may have, by the state of a run that has ended."""
    is_lost = run.error_type == LEASE_EXPIRED
    return run.last_event_id - LEASE_EXPIRED_ID_GAP if is_lost else run.last_event_id


def _stored_up_to(run: AgentRun) -> int:
    """
    Return the last id that the log must have.

    It may lack what the state alone tells: CANCELLED, if the run was waiting, and a continuation's
    START, which the state has first.
    """
    match run.status:
        case RunStatus.COMPLETED | RunStatus.PAUSED:
            return run.last_event_id
        case RunStatus.FAILED:
            may_lack_start = run.error_type == LEASE_EXPIRED and run.required_action is not None
            return _last_id(run) - 1 if may_lack_start else _last_id(run)
        case _:
            return run.last_event_id - 1
