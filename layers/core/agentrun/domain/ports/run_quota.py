"""The port for quotas."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.quotas import RunLimits, Slot


class RunQuota(Protocol):
    """Counts what users and tenants run, and enforces their limits; every method blocks."""

    @property
    def limits(self) -> RunLimits:
        """What is allowed; without any limit slots are kept, so that what is under way is known."""
        ...

    def take(self, slot: Slot, *, at: datetime) -> None:
        """
        Take a slot, and count a start; both or neither. Taking a slot again changes nothing.

        Raises:
            TooManyRunsError: A limit is reached; has the slots in the way, if it is one of runs.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def count(self, slot: Slot, *, tokens: int, at: datetime) -> None:
        """
        Count tokens for the tenant's day while the slot's execution goes on.

        Without a limit of tokens nothing is counted. A retry after a lost reply counts them again,
        which is safe: the limit is then reached a little too early, never too late.

        Args:
            slot: The execution's.
            tokens: How many it has used since it was last counted.
            at: Aware UTC instant; says which day it is.

        Raises:
            BudgetExceededError: The tokens are counted, and the day's limit is reached: no model
                may be asked again, and no slot can be taken until the day is over.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def give_back(self, slot: Slot, *, tokens: int, at: datetime) -> Sequence[Slot]:
        """
        Give a slot back; a slot that is not held stays so.

        Args:
            slot: The slot.
            tokens: What its execution has used since it was last counted; as in `count`, but
                whether the day's limit is reached only concerns others.
            at: Aware UTC instant.

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
