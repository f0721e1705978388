"""A run of an agent: its identity, its state and the ways it may change."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from agentrun.domain.events import Cancelled, Error, Metrics, Paused, Stop, TerminalEvent
from agentrun.domain.model import Instant, Model, to_milliseconds


class RunStatus(StrEnum):
    """Where a run is in its life; the last three never change again."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}


class RunKey(Model):
    """Tenant and run id: a run cannot be named without the tenant it belongs to."""

    tenant: str
    run_id: str


class Lease(Model):
    """Who executes a run, and until when that is to be believed without a new heartbeat."""

    executor: str
    until: Instant


class AgentRun(Model):
    """
    A run as stored; what is not known yet is None and absent in JSON.

    `lease`, `last_event_id` and `cancel_requested` are the executor's and never leave the service.
    """

    id: str
    agent_id: str
    session_id: str
    user_id: str
    org_id: str
    status: RunStatus
    input: str | None = None
    input_truncated: Literal[True] | None = None
    output: str | None = None
    output_truncated: Literal[True] | None = None
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None = None
    completed_at: Instant | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = None
    duration_ms: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    required_action: Paused | None = None
    followups: tuple[str, ...] | None = None
    parent_run_id: str | None = None
    version: int = Field(default=1, ge=1)
    lease: Lease | None = Field(default=None, exclude=True)
    last_event_id: int = Field(default=0, ge=0, exclude=True)
    cancel_requested: bool = Field(default=False, exclude=True)

    @property
    def key(self) -> RunKey:
        """The tenant and the id."""
        return RunKey(tenant=self.org_id, run_id=self.id)


class _Outcome(Model):
    """What every ended execution leaves: its text so far, its figures, its last event's id."""

    output: str
    metrics: Metrics
    last_event_id: int = Field(ge=1)


class Completed(_Outcome):
    """The agent has answered."""

    status: Literal[RunStatus.COMPLETED] = RunStatus.COMPLETED
    followups: tuple[str, ...] | None = None


class Failed(_Outcome):
    """The run has failed; the message is safe to show."""

    status: Literal[RunStatus.FAILED] = RunStatus.FAILED
    error_type: str
    error_message: str


class CancelledByRequest(_Outcome):
    """Somebody has asked for the end."""

    status: Literal[RunStatus.CANCELLED] = RunStatus.CANCELLED
    reason: str


Outcome = Completed | Failed | CancelledByRequest


def terminal_event(run_id: str, outcome: Outcome) -> TerminalEvent:
    """Say an outcome as the event that ends the stream."""
    match outcome:
        case Completed():
            return Stop(run_id=run_id, followups=outcome.followups)
        case Failed():
            return Error(message=outcome.error_message)
        case CancelledByRequest():
            return Cancelled(reason=outcome.reason)


def changes_at_end(outcome: Outcome, at: datetime) -> dict[str, object]:
    """Give the fields of a run that its end sets, by their Python names; absent stays unchanged."""
    figures = outcome.metrics.model_dump(exclude={"event", "llm_calls"}, by_alias=False)
    changes: dict[str, object] = {
        **{name: value for name, value in figures.items() if value is not None},
        "status": outcome.status,
        "output": outcome.output,
        "updated_at": to_milliseconds(at),
        "completed_at": to_milliseconds(at),
        "last_event_id": outcome.last_event_id,
    }
    match outcome:
        case Completed():
            changes |= {"followups": outcome.followups} if outcome.followups is not None else {}
        case Failed():
            changes |= {"error_type": outcome.error_type, "error_message": outcome.error_message}
        case CancelledByRequest():
            pass
    return changes


LEASE_EXPIRED = "LEASE_EXPIRED"
LEASE_GRACE_S = 2.0
LEASE_EXPIRED_ID_GAP = 1_000_000
"""Puts the ERROR of an expired lease beyond every id that was sent but never stored."""


def lease_has_lapsed(run: AgentRun, now: datetime) -> bool:
    """Tell whether a RUNNING run's executor has been silent for longer than lease and grace."""
    if run.status is not RunStatus.RUNNING or run.lease is None:
        return False
    return (now - run.lease.until).total_seconds() > LEASE_GRACE_S


def expired(run: AgentRun, *, last_stored_event_id: int, at: datetime) -> AgentRun:
    """Give a run as it is once its executor is taken for dead."""
    duration = at - run.started_at if run.started_at else None
    return run.model_copy(
        update={
            "status": RunStatus.FAILED,
            "error_type": LEASE_EXPIRED,
            "error_message": "The run stopped without finishing: its executor is gone.",
            "updated_at": to_milliseconds(at),
            "completed_at": to_milliseconds(at),
            "duration_ms": int(duration.total_seconds() * 1000) if duration else None,
            # START, event 1, was said as soon as the run was stored, before any segment.
            "last_event_id": max(1, last_stored_event_id) + LEASE_EXPIRED_ID_GAP,
            "version": run.version + 1,
        }
    )
