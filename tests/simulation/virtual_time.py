"""Virtual time: event loops, one per process, that share one timeline and one thread."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from itertools import count
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
TICK_S = 1e-6


class StuckError(Exception):
    """Nothing is left to happen, or too much has happened, before the end."""


class Begins(Protocol):
    """An executor that knows how to begin a call for a loop of a timeline."""

    def begin(self, loop: "ProcessLoop", call: Callable[[], T]) -> "asyncio.Future[T]": ...


class Timeline:
    """
    Decide what happens next, and when.

    Whatever is ready happens in the order in which it became so; only when nothing is, time goes on
    to the next timer of the world or of a process that is not frozen.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.loops: list[ProcessLoop] = []
        self.every_loop: list[ProcessLoop] = []
        self.unhandled: list[dict[str, Any]] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._ready: deque[ProcessLoop] = deque()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Schedule an action of the world, whichever processes are frozen or dead by then."""
        heapq.heappush(self._due, (max(when, self.now), next(self._numbers), call))

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        self.at(self.now + delay_s, call)

    def number(self) -> int:
        return next(self._numbers)

    def is_ready(self, loop: "ProcessLoop") -> None:
        self._ready.append(loop)

    def run(self, is_over: Callable[[], bool], *, until: float, turns: int = 500_000) -> None:
        """
        Let things happen until the end.

        Raises:
            StuckError: It is not over at the virtual instant `until`, or after so many turns.
        """
        turns += self.turns
        while not is_over():
            self.turns += 1
            if self._ready:
                self._ready.popleft().turn()
            elif not self._advance(until) or self.turns > turns:
                raise StuckError(f"at {self.now:.3f} s, after {self.turns} turns")

    def _advance(self, until: float) -> bool:
        """Advance to the next event; return False if there is none before `until`."""
        sleepers = [loop for loop in self.loops if loop.next_at() is not None]
        loop = min(sleepers, key=lambda loop: loop.next_at() or 0.0, default=None)
        loop_at = float("inf") if loop is None else loop.next_at() or 0.0
        world_at = self._due[0][0] if self._due else float("inf")
        when = min(loop_at, world_at)
        if when > until or when == float("inf"):
            return False
        self.now = max(self.now, when)
        if world_at <= loop_at:
            heapq.heappop(self._due)[2]()
        elif loop is not None:
            loop.fire()
        return True


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one process, which can be frozen, thawed and killed as a whole."""

    def __init__(self, timeline: Timeline, name: str, *, stops_when_frozen: bool = False) -> None:
        self.name = name
        self.timeline = timeline
        self.is_frozen = False
        self.is_dead = False
        self.idles = 0
        """How often it had nothing to do; everything between two such times is one moment."""
        self._stops_when_frozen = stops_when_frozen
        self._lag_s = 0.0
        self._frozen_at = 0.0
        self._handles: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        timeline.loops.append(self)
        timeline.every_loop.append(self)

    def freeze(self) -> None:
        if not self.is_frozen:
            self.is_frozen, self._frozen_at = True, self.timeline.now

    def thaw(self) -> None:
        if self.is_frozen:
            self.is_frozen = False
            if self._stops_when_frozen:
                self._lag_s += self.timeline.now - self._frozen_at
            for _ in self._handles:
                self.timeline.is_ready(self)

    def die(self) -> None:
        self.is_dead = True
        self.timeline.loops.remove(self)

    def revive(self) -> None:
        """Let a dead or frozen process run, to unwind its work."""
        if self.is_dead:
            self.is_dead = False
            self.timeline.loops.append(self)
        self.thaw()
        for _ in self._handles:
            self.timeline.is_ready(self)

    def next_at(self) -> float | None:
        """Return when the next timer is due, on the timeline."""
        if self.is_frozen or self.is_dead:
            return None
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] + self._lag_s if self._timers else None

    def fire(self) -> None:
        """Make the next timer's callback ready."""
        self._enqueue(heapq.heappop(self._timers)[2])

    def turn(self) -> None:
        """Run the first ready callback, unless the process is frozen."""
        if self.is_frozen or self.is_dead or not self._handles:
            return
        handle = self._handles.popleft()
        if not handle.cancelled():
            asyncio._set_running_loop(self)
            try:
                handle._run()
            finally:
                asyncio._set_running_loop(None)
        if not self._handles:
            self.idles += 1

    def _enqueue(self, handle: asyncio.Handle) -> None:
        self._handles.append(handle)
        self.timeline.is_ready(self)

    # What asyncio requires of a loop.

    def time(self) -> float:
        return self.timeline.now - self._lag_s

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        now = self.time()
        # A shorter delay would vanish when it is added to an instant.
        due = max(when, now + TICK_S) if when > now else now
        heapq.heappush(self._timers, (due, self.timeline.number(), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave the timer in place until it is due."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        if len(self.tasks) > 64:
            self.tasks = [task for task in self.tasks if not task.done()]
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        threads: Begins = executor  # type: ignore[assignment]
        return threads.begin(self, lambda: func(*args))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self.timeline.unhandled.append(context)

    default_exception_handler = call_exception_handler


def process_loop(timeline: Timeline, name: str, *, stops_when_frozen: bool = False) -> ProcessLoop:
    """Build the loop of a process; with `stops_when_frozen` its monotonic clock freezes too."""
    # Sockets, signals and subprocesses are left out: no service uses them here.
    return ProcessLoop(timeline, name, stops_when_frozen=stops_when_frozen)  # type: ignore[abstract]
