"""How long an execution may act: its lease by its own reckoning, its deadline, its process."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agentrun.domain.errors import MayNotActError
from agentrun.domain.ports import Clock
from agentrun.domain.runs import LEASE_DURATION, Lease

LEASE_MARGIN_S = 1.0
"""For what is about to begin, and for what takes its time to stop."""


@dataclass(frozen=True)
class Moment:
    """An instant on both of a clock's readings."""

    now: datetime
    steady_s: float

    @property
    def lease_until(self) -> datetime:
        """Until when a lease lasts whose write is sent at this moment."""
        return self.now + LEASE_DURATION


class OwnLease:
    """
    Whether an executor's lease is surely its own still.

    A reader whose clock is ahead by all the grace that there is takes an executor for dead from
    its lease's end on. That end counts from the moment before the last successful write was sent,
    and what has passed since is the longer of what two clocks say: one that may be set but shows
    after a freeze how long it was, and one that may stand still but is never set.
    """

    def __init__(self, lease: Lease, clock: Clock) -> None:
        """Reckon with a lease that has been stored."""
        self._clock = clock
        begun, present = lease.until - LEASE_DURATION, self.moment()
        passed_s = max(0.0, (present.now - begun).total_seconds())
        self._renewed = Moment(begun, present.steady_s - passed_s)

    def moment(self) -> Moment:
        """Note the moment before a write that renews the lease is sent."""
        return Moment(self._clock.now(), self._clock.steady_s())

    def renewed(self, sent: Moment) -> None:
        """Count from a write that has succeeded."""
        self._renewed = sent

    @property
    def left_s(self) -> float:
        """For how long the executor may still act; not positive: nothing may begin any more."""
        present = self.moment()
        passed_s = max(
            (present.now - self._renewed.now).total_seconds(),
            present.steady_s - self._renewed.steady_s,
        )
        return LEASE_DURATION.total_seconds() - LEASE_MARGIN_S - passed_s


DEADLINE_RESERVE = timedelta(seconds=5)
LOOK_AGAIN_AFTER_S = 1.0
"""A timer may stand still while the machine does; so the clocks are looked at this often."""


class Bound(StrEnum):
    """Why an execution has to end."""

    STOPPED = "STOPPED"
    DEADLINE = "DEADLINE"
    LEASE = "LEASE"


class ExecutionBounds:
    """
    Says whether an execution may go on: to itself now and then, to its engine before each tool.

    `deadline` is when the process will be stopped, if that is known.
    """

    def __init__(self, lease: OwnLease, clock: Clock) -> None:
        self.deadline: datetime | None = None
        self._lease = lease
        self._clock = clock
        self._is_stopped = False
        self._is_closed = False
        self._recording: asyncio.Task[None] | None = None

    def watch(self, recording: asyncio.Task[None]) -> None:
        """Let nothing begin once this task has ended: it has heard of the run's end."""
        self._recording = recording

    def stop(self) -> None:
        """Say that the process has to end."""
        self._is_stopped = True

    def close(self) -> None:
        """Say that the execution is ending, for whatever reason."""
        self._is_closed = True

    def reached(self) -> Bound | None:
        """Tell why the execution has to end; None where it may go on."""
        if self._is_stopped:
            return Bound.STOPPED
        if self._deadline_in_s() <= 0:
            return Bound.DEADLINE
        return Bound.LEASE if self._lease.left_s <= 0 else None

    @property
    def look_again_in_s(self) -> float:
        """When to ask `reached` again."""
        return max(0.0, min(LOOK_AGAIN_AFTER_S, self._deadline_in_s(), self._lease.left_s))

    def before_tool(self) -> None:
        """
        Let a tool begin; may be called by any thread.

        Raises:
            MayNotActError: It must not.
        """
        is_over = self._recording is not None and self._recording.done()
        if self._is_closed or is_over or self.reached() is not None:
            raise MayNotActError

    def _deadline_in_s(self) -> float:
        if self.deadline is None:
            return float("inf")
        return (self.deadline - DEADLINE_RESERVE - self._clock.now()).total_seconds()
