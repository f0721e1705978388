"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """The port `Clock` on the system's time."""

    def now(self) -> datetime:
        """Give the present instant, aware, in UTC."""
        return datetime.now(UTC)
