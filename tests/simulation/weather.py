"""Random faults around a call of the store."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What happens to one call, or to the process that makes it."""

    NONE = "none"
    REFUSED = "refused before it was applied"
    LOST = "applied, the reply lost"
    LATE = "applied 1 to 30 s after its caller gave up"
    TWICE = "applied once more 1 to 30 s later"
    FREEZE_BEFORE = "process frozen before the call"
    FREEZE_AFTER = "process frozen after the call"
    KILL_BEFORE = "process killed before the call"
    KILL_AFTER = "process killed after the call"
    STOP = "process told to end"
    SLOW = "slow there and back"


CALL_TIMES_OUT_S = 6.0
"""The time of botocore's three attempts of two seconds each."""


@dataclass
class Weather:
    """
    How often each fault happens; each example has its own weather.

    `outages` are the processes that cannot reach the store, or one method of it, and until when.
    """

    random: Random
    weights: dict[Fault, float]
    slow: float
    slowest_s: float
    outages: dict[tuple[str, str], float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    is_fine: bool = False

    @classmethod
    def of(cls, random: Random) -> "Weather":
        """Draw a weather: some examples are calm, some have one kind of fault, some have all."""
        kinds = [fault for fault in Fault if fault is not Fault.NONE]
        chosen = random.choice([[], random.sample(kinds, 1), random.sample(kinds, 3), kinds])
        rate = random.choice([0.003, 0.01, 0.03])
        weights: dict[Fault, float] = {fault: rate * random.random() for fault in chosen}
        if Fault.KILL_AFTER in weights or Fault.KILL_BEFORE in weights:
            for fault in (Fault.KILL_AFTER, Fault.KILL_BEFORE, Fault.STOP):
                weights[fault] = weights.get(fault, 0) / 3
        return cls(random, weights, random.choice([0.0, 0.05, 0.3]), random.choice([0.3, 1.0, 5.0]))

    def fault(self) -> Fault:
        """Draw what happens to the next call."""
        if self.is_fine:
            return Fault.NONE
        point = self.random.random()
        for fault, weight in self.weights.items():
            point -= weight
            if point < 0:
                return self.count(fault)
        return Fault.NONE

    def count(self, fault: Fault) -> Fault:
        self.counts[fault] += 1
        return fault

    @property
    def has_struck(self) -> bool:
        """Whether anything has gone wrong so far."""
        return bool(set(self.counts) - {"flood", "crowd"})

    @property
    def longest_call_s(self) -> float:
        """Return the longest round trip of a call if nothing goes wrong."""
        return 2 * (self.slowest_s if self.slow else 0.01)

    def latency_s(self) -> float:
        """Draw how long a one-way trip takes."""
        if not self.is_fine and self.random.random() < self.slow:
            return self.random.uniform(0.02, self.slowest_s)
        return self.random.uniform(0.001, 0.01)

    def is_slow_s(self) -> float:
        """Draw how long a slow one-way trip takes."""
        return self.random.choice([0.05, 0.3, 1.0, 3.0])

    def is_out(self, process: str, method: str, now: float) -> bool:
        """Tell whether a process cannot reach the store with this method."""
        ends = (self.outages.get((process, name), 0.0) for name in ("", method))
        return not self.is_fine and max(ends) > now
