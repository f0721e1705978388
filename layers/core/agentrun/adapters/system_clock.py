"""The machine's clocks."""

import time
from datetime import UTC, datetime

# Linux's monotonic clock stands still while the machine is suspended; this one does not.
_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The port `Clock` on the system's time."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def steady_s(self) -> float:
        """Return the seconds since some moment in the past; see the port."""
        return time.clock_gettime(_STEADY)
