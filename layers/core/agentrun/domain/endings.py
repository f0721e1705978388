"""How a run ends: as its executor makes it end, or without one; and whether it need not end yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict, assert_never

from pydantic import Field

from agentrun.domain.events import (
    Cancelled,
    Error,
    EventType,
    Metrics,
    Paused,
    RecordedEvent,
    Stop,
    TerminalEvent,
)
from agentrun.domain.runs import UNDER_WAY, AgentRun, RunStatus
from agentrun.domain.turns import Checkpoint
from agentrun.domain.value import Instant, Value, to_milliseconds

LEASE_EXPIRED = "LEASE_EXPIRED"
LEASE_GRACE_S = 2.0
APPROVAL_EXPIRED = "APPROVAL_EXPIRED"


class Ending(TypedDict):
    """What every end of an execution has: its text so far, its figures, its last event's id."""

    output: str
    metrics: Metrics
    last_event_id: int


class _Outcome(Value):
    """The fields of `Ending`."""

    output: str
    metrics: Metrics
    last_event_id: int = Field(ge=1)


class Completed(_Outcome):
    """The agent has answered; `messages` are for the conversation's next turns."""

    status: Literal[RunStatus.COMPLETED] = RunStatus.COMPLETED
    followups: tuple[str, ...] | None = None
    messages: str | None = None


class Failed(_Outcome):
    """The run has failed; the message is safe to show."""

    status: Literal[RunStatus.FAILED] = RunStatus.FAILED
    error_type: str
    error_message: str


class CancelledByRequest(_Outcome):
    """Somebody has asked for the end."""

    status: Literal[RunStatus.CANCELLED] = RunStatus.CANCELLED
    reason: str


class PausedForDecision(_Outcome):
    """The run waits for decisions, until `paused_until` at the latest."""

    status: Literal[RunStatus.PAUSED] = RunStatus.PAUSED
    required_action: Paused
    checkpoint: Checkpoint
    paused_until: Instant


Outcome = Completed | Failed | CancelledByRequest | PausedForDecision


@dataclass
class EndProgress:
    """
    How much of an end is written; pass the same object with each try.

    An execution whose end cannot be written tries another one: `end` numbers them from 0, so that
    late writes of an earlier end are never taken for parts of a later one. The others are the
    store's: `stored` counts what is stored beside the run already, `packed` is all as it is stored.
    """

    end: int = 0
    stored: int = 0
    packed: object = None


def terminal_event(run_id: str, outcome: Outcome) -> TerminalEvent:
    """Return the event that ends the stream with an outcome."""
    match outcome:
        case Completed():
            return Stop(run_id=run_id, followups=outcome.followups)
        case Failed():
            return Error(message=outcome.error_message)
        case CancelledByRequest():
            return Cancelled(reason=outcome.reason)
        case PausedForDecision():
            return outcome.required_action
        case _:
            assert_never(outcome)


def changes_at_end(outcome: Outcome, at: datetime) -> dict[str, object]:
    """
    Return the fields of a run that its end sets, by their Python names; all others stay.

    The store adds `messages`, the checkpoint and the lease.
    """
    figures = outcome.metrics.model_dump(exclude={"event", "llm_calls"}, by_alias=False)
    changes: dict[str, object] = {
        **{name: value for name, value in figures.items() if value is not None},
        "status": outcome.status,
        "output": outcome.output,
        "updated_at": to_milliseconds(at),
        "last_event_id": outcome.last_event_id,
    }
    if outcome.status.is_terminal:
        changes["completed_at"] = to_milliseconds(at)
    match outcome:
        case Completed():
            changes |= {"followups": outcome.followups} if outcome.followups is not None else {}
        case Failed():
            changes |= {"error_type": outcome.error_type, "error_message": outcome.error_message}
        case PausedForDecision():
            changes |= {
                "required_action": outcome.required_action,
                "paused_until": outcome.paused_until,
            }
        case CancelledByRequest():
            pass
        case _:
            assert_never(outcome)
    return changes


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
