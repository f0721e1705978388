"""The port for runs that wait for an executor."""

from datetime import timedelta
from typing import Protocol

from agentrun.domain.runs import RunKey


class RunQueue(Protocol):
    """Asks for executors; its methods block."""

    def send(self, key: RunKey, *, delay: timedelta = timedelta()) -> None:
        """
        Ask for an executor for a run; it is asked at least once.

        Args:
            key: The run.
            delay: When to ask, at most 15 minutes from now (SQS's limit).

        Raises:
            StoreUnavailableError: The queue is not available; retrying is safe.
        """
        ...


class HeldMessage(Protocol):
    """A message of the queue that a worker has: hidden from all others, but only for a time."""

    @property
    def key(self) -> RunKey:
        """The run that needs an executor."""
        ...

    @property
    def received(self) -> int:
        """How often the message has been handed out, this time included; approximate."""
        ...

    def keep_for(self, time: timedelta) -> bool:
        """
        Hide the message from other workers for this long from now; it blocks.

        After that the message is handed out again, unless the worker has ended well before.

        Args:
            time: At most 12 hours after the message was received (SQS's limit); zero lets go of it.

        Returns:
            False if the message is no longer this worker's: another one may have it.

        Raises:
            StoreUnavailableError: The queue is not available; retrying is safe.
        """
        ...
