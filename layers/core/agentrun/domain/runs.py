"""A run of an agent: its identity, its state, how it may change and how it may end."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from agentrun.domain.approvals import run_of_approval
from agentrun.domain.events import Followups, Metrics, Paused
from agentrun.domain.requests import Webhook
from agentrun.domain.value import Instant, Value, to_milliseconds

LEASE_DURATION = timedelta(seconds=15)
EVENT_ID_GAP = 1_000_000
"""Puts what follows a lost executor beyond every id that it sent but never stored."""
PREVIEW_BYTES = 4096
"""How much of each text a list or a batch of runs shows."""


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
        return self not in _NEXT

    def may_become(self, status: "RunStatus") -> bool:
        """Tell whether a run may change from this status to another."""
        return status in _NEXT.get(self, ())


_NEXT = {
    RunStatus.QUEUED: {RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED},
    RunStatus.RUNNING: {
        RunStatus.PAUSED,
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
    },
    RunStatus.PAUSED: {RunStatus.RUNNING, RunStatus.CANCELLED},
}
"""What each status may change to; those that are missing are final."""
UNDER_WAY = frozenset({RunStatus.QUEUED, RunStatus.RUNNING})
"""A run in one of these has an executor."""


class RunKey(Value):
    """Tenant and run id: a run cannot be named without the tenant it belongs to."""

    tenant: str
    run_id: str


class Lease(Value):
    """Who executes a run, and until when that holds without a new heartbeat."""

    executor: str
    until: Instant

    def renewed(self, at: datetime) -> "Lease":
        """Return the lease as it is to be written at this moment."""
        return Lease(executor=self.executor, until=at + LEASE_DURATION)


class AgentRun(Value):
    """
    A run as it is known; what is not known, or not known yet, is absent.

    A continued run keeps its `required_action` until its next pause. The fields from `lease` on are
    for the service alone. A PAUSED run's lease ends when it has waited long enough, at
    `paused_until`. `last_event_id` is that of START once the run, its continuation or its take-over
    has begun, and that of the last event once it has ended. `max_attempts` is its agent's as the
    run began. `lost_after` are the last ids that were stored as an executor was lost: the next one
    begins `EVENT_ID_GAP` later, and what a zombie has stored between the two counts for nothing.
    `is_handed_over` says that its executor has let go of it in good order, `used` are its figures
    at the last time, `has_media` says that the media of its request are kept beside it.
    `slot_until` names the slot that its executions hold.
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
    attempt: int = Field(
        default=1, ge=1, description="Counts its executions: one more each time one was lost."
    )
    version: int = Field(default=1, ge=1, description="Counts the changes of `status`.")
    lease: Lease | None = Field(default=None, exclude=True)
    last_event_id: int = Field(default=0, ge=0, exclude=True)
    cancel_requested: bool = Field(default=False, exclude=True)
    paused_until: Instant | None = Field(default=None, exclude=True)
    max_attempts: int = Field(default=1, ge=1, exclude=True)
    lost_after: tuple[int, ...] = Field(default=(), exclude=True)
    is_handed_over: bool = Field(default=False, exclude=True)
    is_background: bool = Field(default=False, exclude=True)
    has_media: bool = Field(default=False, exclude=True)
    slot_until: Instant | None = Field(default=None, exclude=True)
    used: Metrics | None = Field(default=None, exclude=True)
    webhook: Webhook | None = Field(default=None, exclude=True)

    @property
    def key(self) -> RunKey:
        """The tenant and the id."""
        return RunKey(tenant=self.org_id, run_id=self.id)

    @property
    def paused_event_id(self) -> int | None:
        """The event id of the run's latest pause; None if it was never paused."""
        if self.required_action is None:
            return None
        _, event_id = run_of_approval(self.required_action.approval_id)
        return event_id

    @property
    def has_begun(self) -> bool:
        """Whether START was said; of a continued run, whether it was said again."""
        paused = self.paused_event_id
        return paused is None or self.last_event_id > paused

    def lost_by(self, stored_up_to: int) -> "AgentRun":
        """
        Return the run without the executor that has stored its events up to this id.

        Later ones that it may have said or may still store count for nothing. The pause, or the
        START of a new run, was said for certain, wherever the log ends.
        """
        stored_up_to = max(self.paused_event_id or 1, stored_up_to)
        if self.lost_after and stored_up_to < self.gaps[-1][1]:
            # The executor has stored nothing; what came later is of one that was lost before it.
            stored_up_to = self.lost_after[-1]
        return self._with(lost_after=(*self.lost_after, stored_up_to))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """For each executor that was lost the last id of its events, and where ids went on."""
        gaps: list[tuple[int, int]] = []
        went_on_at = 0
        for lost in self.lost_after:
            # The START of the one that was lost may never have been stored.
            went_on_at = max(lost, went_on_at) + EVENT_ID_GAP
            gaps.append((lost, went_on_at))
        return gaps

    @property
    def next_event_id(self) -> int:
        """The id of the event that follows: beyond all that a lost executor may have said."""
        if self.is_handed_over or not self.lost_after:
            return self.last_event_id + 1
        stored = self.lost_after[-1]
        # Another one that was lost may have begun beyond that, and not have stored its START.
        has_begun_beyond = self.last_event_id >= stored + EVENT_ID_GAP
        return (self.last_event_id if has_begun_beyond else stored) + EVENT_ID_GAP

    def taken_over(self, lease: Lease) -> "AgentRun":
        """
        Return the run as another executor goes on with it; `lost_by` comes first if it was lost.

        A RUNNING run's new executor says START with `last_event_id`.
        """
        attempt = self.attempt if self.is_handed_over else self.attempt + 1
        if self.status is RunStatus.QUEUED:
            return self._with(lease=lease, is_handed_over=False)
        return self._with(
            lease=lease, is_handed_over=False, attempt=attempt, last_event_id=self.next_event_id
        )

    def handed_over(self, *, at: datetime, last_event_id: int, used: Metrics) -> "AgentRun":
        """Return the run as its executor lets go of it in good order, with what it has used."""
        if self.lease is None:
            raise ValueError(f"nobody executes the run '{self.id}'")
        lease = Lease(executor=self.lease.executor, until=at)
        return self._with(lease=lease, is_handed_over=True, last_event_id=last_event_id, used=used)

    def in_background(self) -> "AgentRun":
        """Return a new run as it waits for an executor that is asked for by a message."""
        queued = self.queued()
        return queued.model_copy(update={"is_background": True, "is_handed_over": True})

    def queued(self) -> "AgentRun":
        """Return a new run as it is stored when its session is busy: QUEUED from the first."""
        if self.status is not RunStatus.RUNNING or self.version > 1:
            raise ValueError(f"only a new run can be queued, not '{self.id}'")
        return self._with(status=RunStatus.QUEUED, started_at=None)

    def holding(self, slot_until: datetime, *, has_media: bool | None = None) -> "AgentRun":
        """Return the run as one whose executions hold the slot of this name, and its media."""
        has_media = self.has_media if has_media is None else has_media
        return self._with(slot_until=to_milliseconds(slot_until), has_media=has_media)

    def with_lease(self, lease: Lease) -> "AgentRun":
        """Return the run under another lease."""
        if self.status.is_terminal:
            raise ValueError(f"the run '{self.id}' is {self.status} and needs no lease")
        return self._with(lease=lease)

    def renewed(self, at: datetime) -> "AgentRun":
        """Return the run with its lease as it is to be written at this moment."""
        if self.lease is None:
            raise ValueError(f"nobody executes the run '{self.id}'")
        return self.with_lease(self.lease.renewed(at))

    def resumed(self, lease: Lease, *, at: datetime) -> "AgentRun":
        """Return a PAUSED run as it goes on under a new lease."""
        return self._moved(RunStatus.RUNNING, at, lease=lease)

    def paused_again(self, *, at: datetime) -> "AgentRun":
        """Return a resumed run as it was while it was PAUSED."""
        if self.lease is None or self.paused_until is None:
            raise ValueError("only a run that was paused can be so again")
        lease = Lease(executor=self.lease.executor, until=self.paused_until)
        return self._moved(RunStatus.PAUSED, at, lease=lease, last_event_id=self.paused_event_id)

    def cancelled(
        self,
        *,
        at: datetime,
        ended_at: datetime,
        error_type: str | None = None,
        error_message: str | None = None,
        last_event_id: int | None = None,
    ) -> "AgentRun":
        """
        Return the run as CANCELLED without an executor.

        Its end is the event after its last one, unless the run was under way.
        """
        return self._moved(
            RunStatus.CANCELLED,
            at,
            completed_at=to_milliseconds(ended_at),
            error_type=error_type,
            error_message=error_message,
            last_event_id=last_event_id or self.last_event_id + 1,
        )

    def failed(
        self,
        *,
        at: datetime,
        ended_at: datetime,
        error_type: str,
        error_message: str,
        last_event_id: int,
    ) -> "AgentRun":
        """Return the run as FAILED without an executor."""
        ended_at = to_milliseconds(ended_at)
        duration = ended_at - self.started_at if self.started_at else None
        return self._moved(
            RunStatus.FAILED,
            at,
            completed_at=ended_at,
            error_type=error_type,
            error_message=error_message,
            duration_ms=None if duration is None else max(0, int(duration.total_seconds() * 1000)),
            last_event_id=last_event_id,
        )

    def _moved(self, status: RunStatus, at: datetime, **changes: object) -> "AgentRun":
        if not self.status.may_become(status):
            raise ValueError(f"the run '{self.id}' is {self.status} and cannot become {status}")
        return self._with(
            status=status, updated_at=to_milliseconds(at), version=self.version + 1, **changes
        )

    def without_texts(self) -> "AgentRun":
        """Return the run without its texts, which its header may or may not hold."""
        return self.with_texts(input=None, output=None)

    def with_texts(self, *, input: str | None, output: str | None) -> "AgentRun":  # noqa: A002
        """Return the run with its whole texts."""
        return self._with(input=input, output=output)

    def with_previews(self, *, more: frozenset[str] = frozenset()) -> "AgentRun":
        """
        Return the run with its texts cut to 4096 bytes of UTF-8 each.

        Args:
            more: The names of the texts that are only beginnings already.
        """
        changes: dict[str, object] = {}
        for name, text in (("input", self.input), ("output", self.output)):
            if text is not None:
                changes[name], was_cut = cut_utf8(text)
                changes[f"{name}_truncated"] = was_cut or name in more or None
        return self._with(**changes)

    def _with(self, **changes: object) -> "AgentRun":
        """Copy the run; the changes are not validated, so that only the methods above make any."""
        return self.model_copy(update=changes)


def cut_utf8(text: str, limit_bytes: int = PREVIEW_BYTES) -> tuple[str, bool]:
    """Cut a text to `limit_bytes` of UTF-8 at a character boundary; tell whether it was cut."""
    # A character has at most 4 bytes in UTF-8, so most texts need no encoding to be let through.
    if len(text) * 4 <= limit_bytes:
        return text, False
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text, False
    return encoded[:limit_bytes].decode(errors="ignore"), True
