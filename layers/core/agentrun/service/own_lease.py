"""How long an executor may act by its own reckoning, whatever it can learn from the store."""

from dataclasses import dataclass
from datetime import datetime

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
