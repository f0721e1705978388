"""From an execution to the one response that follows it, without waiting and without losing."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

from agentrun.domain.events import RecordedEvent


class LiveEvents:
    """
    A run's events on their way to the connected client.

    Publishing never blocks. Once the reader has gone, events are dropped here: the log has them.
    """

    def __init__(self) -> None:
        self._ready: deque[RecordedEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._abandoned = False
        self.last_id = 0

    @property
    def has_reader(self) -> bool:
        """Whether somebody reads, or may begin to."""
        return not self._abandoned

    def publish(self, event: RecordedEvent) -> None:
        """Hand an event on; `last_id` is the id of the last one."""
        self.last_id = event.id
        if not self._abandoned:
            self._ready.append(event)
            self._wake()

    def abandon(self) -> None:
        """Say that nobody reads; from now on events are dropped."""
        self._abandoned = True
        self._ready.clear()

    def end(self) -> None:
        """Say that no further event comes."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def batches(self, *, idle_s: float) -> AsyncGenerator[list[RecordedEvent], None]:
        """
        Yield what is there, as soon as anything is there; an empty list after `idle_s` of silence.

        One reader only. The silence is watched by one timer for all events, not one for each.
        """
        loop = asyncio.get_running_loop()
        watch = _SilenceWatch(loop, idle_s, self._wake)
        try:
            while True:
                if not self._ready and not self._ended:
                    self._waiter = loop.create_future()
                    await self._waiter
                batch = list(self._ready)
                self._ready.clear()
                if batch or not self._ended:
                    watch.spoke()
                    yield batch
                if self._ended and not self._ready:
                    return
        finally:
            watch.stop()
            self.abandon()


class _SilenceWatch:
    """Calls back whenever `idle_s` have passed since `spoke` was last called."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, idle_s: float, call: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._idle_s = idle_s
        self._call = call
        self._last = loop.time()
        self._timer = loop.call_later(idle_s, self._check)

    def spoke(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left_s = self._last + self._idle_s - self._loop.time()
        if left_s <= 0:
            self._call()
            left_s = self._idle_s
        self._timer = self._loop.call_later(left_s, self._check)
