"""Events that a run's state tells before, or without, its log."""

from agentrun.domain.events import Cancelled, Error, RecordedEvent, Start
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.value import epoch_ms


def start_event(run: AgentRun) -> RecordedEvent:
    """Return START as it was first said: the run's own state holds all of it."""
    start = Start(run_id=run.id, session_id=run.session_id, agent_id=run.agent_id)
    return RecordedEvent(id=1, timestamp_ms=epoch_ms(run.created_at), event=start)


def end_event(run: AgentRun, *, after: int) -> RecordedEvent | None:
    """
    Return the end of a run that somebody else than its executor has ended; None: nothing new.

    That is a run which has FAILED or was CANCELLED: what else a run may come to, its log tells.
    """
    if after >= run.last_event_id or run.completed_at is None:
        return None
    end: Cancelled | Error
    if run.status is RunStatus.CANCELLED:
        end = Cancelled(reason=run.error_message or "The run was cancelled on request.")
    elif run.status is RunStatus.FAILED:
        end = Error(message=run.error_message or "The run failed.")
    else:
        return None
    return RecordedEvent(id=run.last_event_id, timestamp_ms=epoch_ms(run.completed_at), event=end)
