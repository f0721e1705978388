"""Runs that wait for an executor, in a list."""

from datetime import timedelta

from agentrun.domain.runs import RunKey
from tests.fakes.hooks import Hookable


class InMemoryRunQueue(Hookable):
    """The port `RunQueue`; `sent` has each message with its delay, the oldest first."""

    def __init__(self) -> None:
        self.sent: list[tuple[RunKey, timedelta]] = []

    def send(self, key: RunKey, *, delay: timedelta = timedelta()) -> None:
        self.sent.append((key, delay))
