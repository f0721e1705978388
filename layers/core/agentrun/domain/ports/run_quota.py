"""The port for quotas."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.quotas import RunLimits, Slot


class RunQuota(Protocol):
    """Counts what users and tenants run, and enforces their limits; every method blocks."""

    @property
    def limits(self) -> RunLimits:
        """What is allowed; without any limit nothing is counted, and no method is called."""
        ...

    def take(self, slot: Slot, *, at: datetime) -> None:
        """
        Take a slot, and count a start; both or neither. Taking a slot again changes nothing.

        Raises:
            TooManyRunsError: A limit is reached; has the slots in the way, if it is one of runs.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def give_back(self, slot: Slot, *, tokens: int, at: datetime) -> Sequence[Slot]:
        """
        Give a slot back, and count the tokens that its execution has used; both or neither.

        A slot that is not held changes nothing.

        Returns:
            The tenant's slots that are overdue.

        Raises:
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def release(self, slots: Sequence[Slot]) -> None:
        """
        Take away slots whose holders are dead.

        Args:
            slots: 1 to 100 of one tenant, held or not.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...
