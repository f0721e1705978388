"""Clocks that do not wait, and remember for how long they should have."""

import asyncio
from dataclasses import dataclass, field


@dataclass
class InstantClock:
    """Time goes on only when somebody waits."""

    slept: list[float] = field(default_factory=list)
    time_s: float = 0.0

    def now_s(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds
        if seconds:
            self.slept.append(seconds)


@dataclass
class AsyncInstantClock:
    """The same for a client whose calls are awaited; other tasks have their turn."""

    slept: list[float] = field(default_factory=list)
    time_s: float = 0.0

    def now_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.time_s += seconds
        if seconds:
            self.slept.append(seconds)
        await asyncio.sleep(0)
