"""What every use case needs: the ports, calls in threads, retries, an invocation that lasts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import repeat, takewhile
from typing import Generic, ParamSpec, TypeVar

from agentrun.domain.errors import AgentrunError, StoreUnavailableError
from agentrun.domain.ports import Clock, EventLog, RunJournal, RunQueue, RunStore


@dataclass(frozen=True)
class RunPorts:
    """Where runs are kept, who is asked for executors, the threads for that, and the time."""

    store: RunStore
    log: EventLog
    journal: RunJournal
    queue: RunQueue
    threads: Executor
    clock: Clock


P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(
    threads: Executor, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """
    Make a blocking call in one of `threads` and wait for its answer.

    A caller that is cancelled leaves the call running: a write cannot be taken back.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, lambda: call(*args, **kwargs))


class TriedAhead(Generic[T]):
    """A blocking call that may be made behind another one, in the thread that has made that."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._outcome: Future[T] | None = None

    def make(self) -> None:
        """Make the call; what comes of it, an exception too, waits for `take`."""
        outcome = self._outcome = Future[T]()
        try:
            outcome.set_result(self._call())
        except Exception as error:  # noqa: BLE001 - raised by `take`
            outcome.set_exception(error)

    async def take(self, threads: Executor) -> T:
        """Return the result or raise the exception; the next time, make the call again."""
        outcome, self._outcome = self._outcome, None
        return await in_thread(threads, self._call) if outcome is None else outcome.result()


async def retried(
    call: Callable[[], Awaitable[T]],
    pauses: Iterable[float],
    *,
    on: type[AgentrunError] | tuple[type[AgentrunError], ...] = StoreUnavailableError,
    before_retry: Callable[[], Awaitable[None]] | None = None,
) -> T:
    """
    Repeat a call until it succeeds or no pause is left; then raise its last error.

    Args:
        call: What to try.
        pauses: How many seconds to wait after each failure; `every` makes some.
        on: The errors that another try may mend. All others are raised at once.
        before_retry: Called after each pause.
    """
    left = iter(pauses)
    while True:
        try:
            return await call()
        except on:
            pause_s = next(left, None)
            if pause_s is None:
                raise
        await asyncio.sleep(pause_s)
        if before_retry is not None:
            await before_retry()


def every(pause_s: float, *, for_s: float = float("inf")) -> Iterable[float]:
    """Yield the same pause again and again, as long as it ends within `for_s` seconds from now."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + for_s
    return takewhile(lambda pause_s: loop.time() + pause_s < give_up_at, repeat(pause_s))


_begun: ContextVar[list[asyncio.Task[None]] | None] = ContextVar("begun", default=None)


def keep_invocation_for(work: asyncio.Task[None]) -> None:
    """Make the invocation of the current request, if there is one, last until `work` is done."""
    begun = _begun.get()
    if begun is not None:
        begun.append(work)


@asynccontextmanager
async def invocation_kept() -> AsyncGenerator[None, None]:
    """
    Wait at the end, however it comes about, for all work that was begun inside.

    Lambda freezes a process once it has answered an invocation, with all work that is still under
    way, and thaws it for the next one, minutes later or never.

    A cancellation does not end the wait: the work has its own deadline and ends itself before it.
    A second one ends the wait, not the work.
    """
    begun: list[asyncio.Task[None]] = []
    token = _begun.set(begun)
    try:
        yield
    finally:
        _begun.reset(token)
        while pending := [work for work in begun if not work.done()]:
            await asyncio.wait(pending)
