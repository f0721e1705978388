"""A run of an agent: its identity, its state and the ways it may change."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from agentrun.domain.approvals import run_of_approval
from agentrun.domain.events import Followups, Paused
from agentrun.domain.value import Instant, Value, to_milliseconds

LEASE_DURATION = timedelta(seconds=15)


class RunStatus(StrEnum):
    """Where a run is in its life; COMPLETED, FAILED and CANCELLED never change again."""

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


class RunKey(Value):
    """Tenant and run id: a run cannot be named without the tenant it belongs to."""

    tenant: str
    run_id: str


class Lease(Value):
    """Who executes a run, and until when that is to be believed without a new heartbeat."""

    executor: str
    until: Instant

    def renewed(self, at: datetime) -> "Lease":
        """Return the lease as it is to be written at this moment."""
        return Lease(executor=self.executor, until=at + LEASE_DURATION)


class AgentRun(Value):
    """
    A run as it is known; what is not known, or not known yet, is absent.

    A run that goes on keeps its `required_action` until its next pause. The fields from `lease` on
    are the service's own and never leave it; a PAUSED run's lease ends when it has waited long
    enough, at `paused_until`. `last_event_id` covers START from the moment at which the run, or its
    continuation, begins, and all events once it has ended.
    """

    id: str
    agent_id: str = Field(description="The agent.")
    session_id: str = Field(description="The conversation.")
    user_id: str = Field(description="Whose run it is.")
    org_id: str = Field(description="The tenant.")
    status: RunStatus
    input: str | None = Field(default=None, description="The message.")
    input_truncated: Literal[True] | None = Field(default=None, description="There is more of it.")
    output: str | None = Field(
        default=None,
        description="The answer once the run has ended; of one that failed or was cancelled, what "
        "there was until then.",
    )
    output_truncated: Literal[True] | None = Field(
        default=None,
        description="There is more of it: arrays of runs have its beginning, and one answer has "
        "room for 6 MB. The run's stream has all of it.",
    )
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
    duration_ms: int | None = Field(
        default=None, description="How long it was executed; waiting does not count."
    )
    error_type: str | None = Field(
        default=None, description="Why the run failed, in UPPER_SNAKE_CASE."
    )
    error_message: str | None = Field(
        default=None, description="The same as a sentence that is safe to show."
    )
    required_action: Paused | None = Field(default=None, description="What a PAUSED run waits for.")
    followups: Followups = None
    parent_run_id: str | None = Field(default=None, description="Reserved.")
    version: int = Field(default=1, ge=1, description="Counts the changes of `status`.")
    lease: Lease | None = Field(default=None, exclude=True)
    last_event_id: int = Field(default=0, ge=0, exclude=True)
    cancel_requested: bool = Field(default=False, exclude=True)
    paused_until: Instant | None = Field(default=None, exclude=True)

    @property
    def key(self) -> RunKey:
        """The tenant and the id."""
        return RunKey(tenant=self.org_id, run_id=self.id)

    @property
    def paused_event_id(self) -> int | None:
        """The id of the event of the run's latest pause; None where it was never paused."""
        if self.required_action is None:
            return None
        _, event_id = run_of_approval(self.required_action.approval_id)
        return event_id

    @property
    def has_begun(self) -> bool:
        """Whether START was said, of a continued run whether it was said again."""
        paused = self.paused_event_id
        return paused is None or self.last_event_id > paused


LEASE_EXPIRED = "LEASE_EXPIRED"
LEASE_GRACE_S = 2.0
LEASE_EXPIRED_ID_GAP = 1_000_000
"""Puts the ERROR of an expired lease beyond every id that was sent but never stored."""
APPROVAL_EXPIRED = "APPROVAL_EXPIRED"


def lease_has_lapsed(run: AgentRun, now: datetime) -> bool:
    """
    Tell whether a run is to be settled by whoever reads it.

    That is one whose executor has been silent for longer than lease and grace, one whose approval
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
    pause would be over. Any other run has lost its executor and is FAILED. It has ended when its
    time was up, however much later that is seen.

    Args:
        run: The run as its header says: whatever else is concluded from, the log included, may
            have been written by an executor that had lost the run.
        last_stored_event_id: The log's last event, beyond which the end of a FAILED run has to be.
        at: When it is written down; an aware UTC instant.
    """
    if run.status is RunStatus.PAUSED:
        return _undecided(run, at)
    if run.has_begun:
        return _abandoned(run, last_stored_event_id, at)
    again = paused_again(run, at)
    return _undecided(run, at) if lease_has_lapsed(again, at) else again


def paused_again(run: AgentRun, at: datetime) -> AgentRun:
    """Return a resumed run as it was before."""
    if run.lease is None or run.paused_until is None:
        raise ValueError("only a run that was paused can be so again")
    return run.model_copy(
        update={
            "status": RunStatus.PAUSED,
            "lease": Lease(executor=run.lease.executor, until=run.paused_until),
            "last_event_id": run.paused_event_id,
            "updated_at": to_milliseconds(at),
            "version": run.version + 1,
        }
    )


def _undecided(run: AgentRun, at: datetime) -> AgentRun:
    is_too_late = not run.cancel_requested
    return run.model_copy(
        update={
            "status": RunStatus.CANCELLED,
            "error_type": APPROVAL_EXPIRED if is_too_late else None,
            "error_message": "The approval was not decided in time." if is_too_late else None,
            "updated_at": to_milliseconds(at),
            "completed_at": min(_undecided_until(run), to_milliseconds(at)),
            "last_event_id": run.last_event_id + 1,
            "version": run.version + 1,
        }
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
    duration = ended_at - run.started_at if run.started_at else None
    return run.model_copy(
        update={
            "status": RunStatus.FAILED,
            "error_type": LEASE_EXPIRED,
            "error_message": "The run stopped without finishing: its executor is gone.",
            "updated_at": to_milliseconds(at),
            "completed_at": ended_at,
            "duration_ms": None if duration is None else _milliseconds(duration),
            "last_event_id": max(_committed(run), last_stored_event_id) + LEASE_EXPIRED_ID_GAP,
            "version": run.version + 1,
        }
    )


def _committed(run: AgentRun) -> int:
    """
    Return the last event that was said for certain: the pause, or the START of a new run.

    Not the START of a continuation: its executor may not have lived to store it, and what it
    stores after the run's end must not appear in a replay.
    """
    return run.paused_event_id or 1


def _milliseconds(duration: timedelta) -> int:
    return max(0, int(duration.total_seconds() * 1000))
