"""A clock that stands still until told otherwise."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """The port `Clock`, moved by hand: both of its readings, or one alone."""

    def __init__(self, at: datetime = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)) -> None:
        self._now = at
        self._steady_s = 1_000.0

    def now(self) -> datetime:
        return self._now

    def steady_s(self) -> float:
        return self._steady_s

    def advance(self, seconds: float) -> None:
        self.set_forward(seconds)
        self.pass_unnoticed(seconds)

    def set_forward(self, seconds: float) -> None:
        """Move the wall clock alone, as if the machine had been suspended, or back if negative."""
        self._now += timedelta(seconds=seconds)

    def pass_unnoticed(self, seconds: float) -> None:
        """Let time pass that the wall clock does not show, as if it had been set back meanwhile."""
        self._steady_s += seconds


class Elapsing:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_s += seconds
