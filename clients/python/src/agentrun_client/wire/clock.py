"""Time as the clients need it; tests have clocks of their own."""

import time
from typing import Protocol


class Clock(Protocol):
    """Waits, and tells seconds that only go forward."""

    def now_s(self) -> float:
        """Return the time, from any origin."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class AsyncClock(Protocol):
    """The same for a program whose waits are awaited."""

    def now_s(self) -> float:
        """Return the time, from any origin."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's time."""

    def now_s(self) -> float:
        """Return the time since the machine has started, or so."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class AsyncSystemClock:
    """The machine's time."""

    def now_s(self) -> float:
        """Return the time since the machine has started, or so."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        import anyio  # noqa: PLC0415 - it takes 30 ms, and httpx imports it as late

        await anyio.sleep(seconds)
