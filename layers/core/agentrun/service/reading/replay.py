"""What may be said of a run to its readers, by its state and its log."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise, starmap

from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.events import Cancelled, Error, EventType, RecordedEvent, Start
from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, RunStatus
from agentrun.domain.value import epoch_ms

ENDS = {EventType.STOP, EventType.ERROR, EventType.PAUSED, EventType.CANCELLED}


def start_event(run: AgentRun) -> RecordedEvent:
    """Return START as it was first said; the state has all that is in it."""
    start = Start(run_id=run.id, session_id=run.session_id, agent_id=run.agent_id)
    return RecordedEvent(id=1, timestamp_ms=epoch_ms(run.created_at), event=start)


def end_event(run: AgentRun, *, after: int) -> RecordedEvent | None:
    """
    Return the end of a run that FAILED or was CANCELLED without its executor, by its state.

    None if the reader has it already, or if only the log can tell the end.
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


def said_of_ended(run: AgentRun, stored: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """
    Leave out the stored events that the end of a run does not cover; nobody has heard them.

    They are a zombie's late segment and, where the run ended without an executor, the end that its
    last one wrote but did not live to commit.
    """
    said = without_lost(run, stored)
    if not _was_lost_at_its_end(run):
        return said_up_to(run.last_event_id, said)
    last = _last_id(run)
    return without_unconfirmed_end(run, [event for event in said if event.id <= last])


def without_lost(run: AgentRun, stored: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """Leave out what executors that were lost have stored too late."""
    if not run.lost_after:
        return stored
    gaps = run.gaps
    return [event for event in stored if not any(lost < event.id < to for lost, to in gaps)]


def _last_gap_before(run: AgentRun, event_id: int) -> int | None:
    """Return the log's last id before an event that is the first after a gap; None if it is not."""
    for lost, to in run.gaps:
        if event_id == to:
            return lost
    return None


def _was_lost_at_its_end(run: AgentRun) -> bool:
    """Tell whether the run ended without an executor while it was under way."""
    if run.error_type == LEASE_EXPIRED:
        return True
    is_cancelled = run.status is RunStatus.CANCELLED
    return is_cancelled and _last_gap_before(run, run.last_event_id) is not None


def said_up_to(last_id: int, stored: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """Leave out the stored events above an end, and what may stand in the end's own place."""
    said = [event for event in stored if event.id <= last_id]
    # The end of a run that waited is in its header alone; the log may have another event there.
    has_end = said and said[-1].id == last_id
    return said[:-1] if has_end and said[-1].event.event not in ENDS else said


def without_unconfirmed_end(
    run: AgentRun, stored: Sequence[RecordedEvent]
) -> Sequence[RecordedEvent]:
    """
    Hold METRICS and what follows back until the run is known to have ended so.

    The executor writes them before it commits the end. Those up to the pause in the header are
    committed, and so are those of any pause that is followed by another START.
    """
    committed = run.paused_event_id or 0
    for index in range(len(stored) - 1, max(-1, len(stored) - 3), -1):
        if stored[index].id > committed and stored[index].event.event is EventType.METRICS:
            return stored[:index]
    return stored


def is_broken(run: AgentRun, stored: Sequence[RecordedEvent], *, after: int) -> bool:
    """
    Tell whether events of a run are missing in its log.

    Args:
        run: The run, as it was before its log was read.
        stored: The log's events after an id, or the first of them.
        after: That id, at least 1: START comes from the run's state.
    """
    stored = without_lost(run, stored)
    if run.status.is_terminal or run.status is RunStatus.PAUSED:
        stored = [recorded for recorded in stored if recorded.id <= _last_id(run)]
    if not stored:
        return after < _stored_up_to(run)
    ids = [after, *(recorded.id for recorded in stored)]
    return not all(starmap(partial(_may_follow, run.gaps), pairwise(ids)))


def _may_follow(gaps: Sequence[tuple[int, int]], before: int, event_id: int) -> bool:
    if event_id == before + 1:
        return True
    return any(lost <= before < to == event_id for lost, to in gaps)


def _last_id(run: AgentRun) -> int:
    """Return the last id that the log of a run that has ended may have."""
    if not _was_lost_at_its_end(run):
        return run.last_event_id
    return run.lost_after[-1] if run.lost_after else run.last_event_id - EVENT_ID_GAP


def _stored_up_to(run: AgentRun) -> int:
    """
    Return the last id that the log has to have.

    It may lack what only the state tells: CANCELLED, if the run was waiting, and the START of a
    continuation or a take-over, which the state has first.
    """
    if run.status in {RunStatus.COMPLETED, RunStatus.PAUSED}:
        return run.last_event_id
    if _was_lost_at_its_end(run):
        may_lack_start = run.required_action is not None and not run.lost_after
        return _last_id(run) - 1 if may_lack_start else _last_id(run)
    if run.status is RunStatus.FAILED:
        return run.last_event_id
    lost = _last_gap_before(run, run.last_event_id)
    return run.last_event_id - 1 if lost is None else lost
