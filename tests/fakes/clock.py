"""A clock that stands still until told otherwise."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """The port `Clock`, moved by hand."""

    def __init__(self, at: datetime = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)) -> None:
        self._now = at

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
