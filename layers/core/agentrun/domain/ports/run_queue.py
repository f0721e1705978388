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
