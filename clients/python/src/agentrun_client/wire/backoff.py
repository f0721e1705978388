"""How long to wait before something is tried again."""

import random
from collections.abc import Callable
from typing import NamedTuple

LONGEST_S = 10.0


class Backoff(NamedTuple):
    """
    Waits twice as long each time, less a random part, so that many clients do not come at once.

    Attributes:
        first_s: The longest wait before the first repetition.
        longest_s: The longest wait at all.
        random: Returns a number from 0 to 1.
    """

    first_s: float
    longest_s: float = LONGEST_S
    random: Callable[[], float] = random.random

    def delay_s(self, count: int) -> float:
        """Return how long to wait before a repetition, of which 1 is the first."""
        longest = min(self.longest_s, self.first_s * 2.0 ** min(count - 1, 30))
        return longest * (0.5 + self.random() / 2)

    def beginning_with(self, first_s: float) -> "Backoff":
        """Return the same with another first wait."""
        return self._replace(first_s=first_s)
