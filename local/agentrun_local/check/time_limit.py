"""A time limit on code that may catch any exception, such as the import of a user's module."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeLimitError(BaseException):
    """
    The code has not ended in time; raised at the line that it has come to.

    Not an Exception, so that a loop that tries again after every exception ends, too.
    """


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeLimitError in a block that takes longer; only in the main thread, on Unix."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
