"""The port for the places of readers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.quotas import ReaderPlace


class ReaderQuota(Protocol):
    """Counts the readers of a user's runs; every method blocks."""

    @property
    def limit(self) -> int:
        """How many readers the runs of one user may have; 0 means no limit, and no calls."""
        ...

    def take(self, place: ReaderPlace, *, at: datetime) -> Sequence[ReaderPlace]:
        """
        Take a place if there is one left. Taking a place again changes nothing.

        Returns:
            Nothing if the place was taken; else all places of the user, which are in the way.

        Raises:
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def release(self, places: Sequence[ReaderPlace]) -> None:
        """
        Free places, of readers that have read to the end or of dead ones.

        Args:
            places: 1 or more of one user, held or not.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...
