"""A process that serves requests as on Lambda: one at a time, frozen in between."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.blocking_calls import Threads
from tests.simulation.virtual_time import process_loop
from tests.simulation.world import EPOCH, World

LONGEST_INVOCATION_S = 240.0
STOPPED_AFTER_S = 0.4
"""The time that Lambda leaves a process between SIGTERM and SIGKILL."""


class ProcessClock:
    """The port `Clock` of one process, whose wall clock is off by a constant."""

    def __init__(self, world: World, offset_s: float) -> None:
        self._world = world
        self._offset_s = offset_s

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._world.now + self._offset_s)

    def steady_s(self) -> float:
        return self._world.now


class Process:
    """An execution environment: a loop, threads, a clock, and at most one invocation."""

    def __init__(self, world: World, name: str, *, longest_s: float = LONGEST_INVOCATION_S) -> None:
        """Start it; `longest_s` is how long an invocation of its may take."""
        self.longest_s = longest_s
        self.world = world
        self.name = name
        self.loop = process_loop(
            world.timeline, name, stops_when_frozen=world.random.random() < 0.5
        )
        self.threads = Threads(self.loop)
        self.clock = ProcessClock(world, world.random.choice([0.0, -0.99, 0.99]))
        self.is_busy = False
        self.left_behind: Callable[[], list[str]] = list
        """Return what would go on after an invocation if the process were not frozen."""
        self.on_stop: Callable[[], Awaitable[None]] | None = None
        self._thaws_at = 0.0
        self._when_broken: list[Callable[[], None]] = []
        self._invocations = 0

    @property
    def is_dead(self) -> bool:
        return self.loop.is_dead

    @property
    def is_free(self) -> bool:
        return not self.is_dead and not self.is_busy

    def invoke(
        self,
        serve: Callable[[], Awaitable[None]],
        *,
        on_end: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        """
        Thaw the process and serve a request; freeze it as soon as that has ended.

        Args:
            serve: Answers the request, including everything that holds its invocation.
            on_end: Called at the end of the invocation, before what it left behind is gone.
            on_broken: Called instead if the process ends first.
        """
        assert self.is_free
        self.is_busy = True
        self._invocations += 1
        number = self._invocations
        self._when_broken = [on_broken]
        self._settle()
        started: list[asyncio.Task[None]] = []

        async def invocation() -> None:
            try:
                await serve()
            finally:
                if not self.is_dead:
                    # Let everything that ends at the same moment end with it.
                    idles = self.loop.idles
                    self.world.timeline.after(0.0, lambda: self._end(idles, number, on_end))

        def begin() -> None:
            if not self.world.is_over:
                started.append(self.loop.create_task(invocation()))

        self.loop.call_soon(begin)
        self.world.timeline.after(self.longest_s, lambda: self._time_out(number))

    def _end(self, idles: int, number: int, on_end: Callable[[], None]) -> None:
        if self.is_dead or number != self._invocations:
            return
        self._when_broken = []
        on_end()
        self.is_busy = False
        self._settle()

    def _time_out(self, number: int) -> None:
        if self.is_busy and number == self._invocations:
            self.world.note(self.name, "stopped at its deadline")
            self.kill()

    def freeze(self, duration_s: float) -> None:
        """Stop everything that the process does for a while."""
        self._thaws_at = max(self._thaws_at, self.world.now + duration_s)
        self.world.note(self.name, f"frozen for {duration_s} s")
        self._settle()

    def _settle(self) -> None:
        if self.is_dead:
            return
        if self.is_busy and self._thaws_at <= self.world.now:
            self.loop.thaw()
            return
        self.loop.freeze()
        if self.is_busy:
            self.world.timeline.at(self._thaws_at, self._settle)

    def kill(self) -> None:
        """Kill the process at once."""
        if self.is_dead:
            return
        self.world.note(self.name, "killed")
        self.loop.die()
        self.threads.kill(but=threading.current_thread())
        for broken in self._when_broken:
            broken()

    def stop(self) -> None:
        """Tell the process to stop, and kill it a moment later."""
        if self.on_stop is not None and not self.is_dead:
            self.world.note(self.name, "told to end")
            ending: Any = self.on_stop
            self.loop.call_soon(lambda: self.loop.create_task(ending()))
            self.world.timeline.after(STOPPED_AFTER_S, self.kill)
