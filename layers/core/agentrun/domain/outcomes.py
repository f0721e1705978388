"""How an execution of a run can end, and what each end changes and says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never

from pydantic import Field

from agentrun.domain.events import Cancelled, Error, Metrics, Paused, Stop, TerminalEvent
from agentrun.domain.runs import RunStatus
from agentrun.domain.turns import Checkpoint
from agentrun.domain.value import Instant, Value, to_milliseconds


class _Outcome(Value):
    """What every ended execution leaves: its text so far, its figures, its last event's id."""

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


class PausedForApproval(_Outcome):
    """The run waits for decisions, until `paused_until` at the latest."""

    status: Literal[RunStatus.PAUSED] = RunStatus.PAUSED
    required_action: Paused
    checkpoint: Checkpoint
    paused_until: Instant


Outcome = Completed | Failed | CancelledByRequest | PausedForApproval


@dataclass
class EndProgress:
    """
    How far the writing of one end has come; the same one goes with each try.

    An execution whose end cannot be written tries another one: `end` numbers them from 0, so that
    what comes late of an earlier end is never taken for a part of a later one. `stored` counts
    what is stored beside the run already, and is the store's.
    """

    end: int = 0
    stored: int = 0


def terminal_event(run_id: str, outcome: Outcome) -> TerminalEvent:
    """Say an outcome as the event that ends the stream."""
    match outcome:
        case Completed():
            return Stop(run_id=run_id, followups=outcome.followups)
        case Failed():
            return Error(message=outcome.error_message)
        case CancelledByRequest():
            return Cancelled(reason=outcome.reason)
        case PausedForApproval():
            return outcome.required_action
        case _:
            assert_never(outcome)


def changes_at_end(outcome: Outcome, at: datetime) -> dict[str, object]:
    """
    Return the fields of a run that its end sets, by their Python names; absent stays unchanged.

    `messages`, the checkpoint and the lease are the store's business.
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
        case PausedForApproval():
            changes |= {
                "required_action": outcome.required_action,
                "paused_until": outcome.paused_until,
            }
        case CancelledByRequest():
            pass
        case _:
            assert_never(outcome)
    return changes
