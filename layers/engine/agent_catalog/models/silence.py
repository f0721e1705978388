"""A limit to how long each of many waits may take."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self


class SilenceWatch:
    """
    Limits each wait of a task, as `asyncio.timeout` limits one, with one timer for all.

    A wait that takes too long is cancelled, and raises the given error instead.
    Setting a timer for each event of a stream would cost more than the event.
    """

    def __init__(self, limit_s: float, error: Callable[[], Exception]) -> None:
        self._limit_s = limit_s
        self._error = error
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(limit_s, self._look)
        self._task: asyncio.Task[object] | None = None
        self._since = 0.0
        self._is_over = False

    def __enter__(self) -> Self:
        self._since = self._loop.time()
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        # A task that somebody else has cancelled as well stays cancelled.
        if self._is_over and task is not None and task.uncancel() == 0:
            raise self._error() from error

    def close(self) -> None:
        """Stop the timer; to be called after the last wait."""
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._limit_s
        if self._task is not None:
            left_s -= self._loop.time() - self._since
            if left_s <= 0:
                self._is_over = True
                self._task.cancel()
                return
        self._timer = self._loop.call_later(left_s, self._look)
