"""Event loops without waiting: timers fire at once, and threads are the caller's own."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class InPlace(Executor):
    """An executor without threads: a blocking call holds up its whole process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the caller's to handle, as a thread's is
            future.set_exception(error)
        return future


class _Selector(selectors.SelectSelector):
    """A selector that advances the time instead of waiting."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the actor waits for something that nobody will do"
            self.passed_s += max(0.0, timeout)
        return ready


class InstantLoop(asyncio.SelectorEventLoop):
    """A loop with its own time, in which the next timer is always due."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)
        # Ignore errors that a dead process leaves behind.
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self._clock.passed_s


def run_instantly(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end without waiting."""
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(main)
