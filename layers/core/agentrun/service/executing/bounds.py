"""How long an execution may go on: its lease, its process, its run's duration."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agentrun.domain.errors import MayNotActError
from agentrun.domain.ports import Clock
from agentrun.domain.runs import LEASE_DURATION, Lease

LEASE_MARGIN_S = 1.0
"""Leaves time for what is about to begin, and for what is slow to stop."""
DEADLINE_RESERVE = timedelta(seconds=5)
HAND_OVER_WITHIN = timedelta(seconds=60)
HAND_OVER_SHARE = 0.4
"""How long before its process ends an execution waits for a step's end, and how much of its time
that is at most."""
LOOK_AGAIN_AFTER_S = 1.0
"""How often to look at the clocks: a timer may stand still while the machine does."""


@dataclass(frozen=True)
class Moment:
    """An instant, read from both clocks."""

    now: datetime
    steady_s: float

    @property
    def lease_until(self) -> datetime:
        """When a lease ends whose write is sent at this moment."""
        return self.now + LEASE_DURATION


class OwnLease:
    """
    Tells how long an executor can still be sure of its lease.

    A reader whose clock is ahead by the whole grace takes an executor for dead when its lease ends.
    The lease counts from the moment before its last successful write was sent. The time since is
    the longer of what two clocks say: one that can be set but goes on during a freeze, and one that
    is never set but may stand still.
    """

    def __init__(self, lease: Lease, clock: Clock) -> None:
        """Begin with a lease that has been stored."""
        self._clock = clock
        begun, present = lease.until - LEASE_DURATION, self.moment()
        passed_s = max(0.0, (present.now - begun).total_seconds())
        self._renewed = Moment(begun, present.steady_s - passed_s)

    def moment(self) -> Moment:
        """Return the present moment; call it before sending a write that renews the lease."""
        return Moment(self._clock.now(), self._clock.steady_s())

    def renewed(self, sent: Moment) -> None:
        """Count from the moment before a write that has succeeded."""
        self._renewed = sent

    @property
    def left_s(self) -> float:
        """How long the executor may still act; if not positive, nothing may begin any more."""
        present = self.moment()
        passed_s = max(
            (present.now - self._renewed.now).total_seconds(),
            present.steady_s - self._renewed.steady_s,
        )
        return LEASE_DURATION.total_seconds() - LEASE_MARGIN_S - passed_s


class Bound(StrEnum):
    """Why an execution has to end."""

    STOPPED = "STOPPED"
    DEADLINE = "DEADLINE"
    DURATION = "DURATION"
    LEASE = "LEASE"


class ExecutionBounds:
    """
    Tells the execution, and its engine before each tool, whether it may go on.

    It ends with its process, with its lease, and with the time that its run may take.
    """

    def __init__(self, lease: OwnLease, clock: Clock) -> None:
        self._deadline: datetime | None = None
        self._begun_at = clock.now()
        self._over_at: datetime | None = None
        self._lease = lease
        self._clock = clock
        self._is_stopped = False
        self._is_closed = False
        self._recording: asyncio.Task[None] | None = None

    def begin(self, *, deadline: datetime | None) -> None:
        """
        Begin to count.

        Args:
            deadline: When the process will be stopped, if that is known.
        """
        self._begun_at = self._clock.now()
        self._deadline = deadline

    def last_until(self, over_at: datetime) -> None:
        """Note when the run will have lasted as long as it may."""
        self._over_at = over_at

    @property
    def is_time_to_hand_over(self) -> bool:
        """Whether the next step's end is a good moment to let another process go on."""
        if self._is_stopped:
            return True
        if self._deadline is None:
            return False
        own_time = self._deadline - self._begun_at
        within = min(HAND_OVER_WITHIN, own_time * HAND_OVER_SHARE)
        return self._deadline - self._clock.now() <= within + DEADLINE_RESERVE

    def watch(self, recording: asyncio.Task[None]) -> None:
        """Let no tool begin once this task has ended: the run is over then."""
        self._recording = recording

    def stop(self) -> None:
        """Note that the process has to end."""
        self._is_stopped = True

    def close(self) -> None:
        """Let no tool begin any more: the execution is ending."""
        self._is_closed = True

    def reached(self) -> Bound | None:
        """Return why the execution has to end; None if it may go on."""
        if self._is_stopped:
            return Bound.STOPPED
        if self._over_in_s() <= 0:
            return Bound.DURATION
        if self._deadline_in_s() <= 0:
            return Bound.DEADLINE
        return Bound.LEASE if self._lease.left_s <= 0 else None

    @property
    def look_again_in_s(self) -> float:
        """When to ask `reached` again."""
        ends_in_s = min(self._deadline_in_s(), self._over_in_s(), self._lease.left_s)
        return max(0.0, min(LOOK_AGAIN_AFTER_S, ends_in_s))

    def before_tool(self) -> None:
        """
        Check that a tool may begin; safe to call in any thread.

        Raises:
            MayNotActError: It may not.
        """
        is_over = self._recording is not None and self._recording.done()
        if self._is_closed or is_over or self.reached() is not None:
            raise MayNotActError

    def _deadline_in_s(self) -> float:
        if self._deadline is None:
            return float("inf")
        return (self._deadline - DEADLINE_RESERVE - self._clock.now()).total_seconds()

    def _over_in_s(self) -> float:
        if self._over_at is None:
            return float("inf")
        return (self._over_at - self._clock.now()).total_seconds()
