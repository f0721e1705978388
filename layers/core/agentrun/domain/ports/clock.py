"""The port for time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def steady_s(self) -> float:
        """
        Return the seconds since some moment in the past, for differences only.

        The clock cannot be set. It goes on while the process is frozen and, as far as the system
        can tell, while the machine is.
        """
        ...
