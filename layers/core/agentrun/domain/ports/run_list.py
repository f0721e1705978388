"""The port for lists of runs."""

from collections.abc import Collection, Sequence
from typing import Protocol

from agentrun.domain.lists.run_lists import ListedPause, ListedRun


class RunList(Protocol):
    """
    Finds runs without knowing their ids; every method blocks.

    It may be late by some seconds, and have runs that are gone: their own state tells. Every method
    raises StoreUnavailableError, after which retrying is safe.
    """

    def of_user(
        self, tenant: str, user_id: str, *, before: str | None, at_most: int
    ) -> Sequence[ListedRun]:
        """
        Return a user's runs, the newest first.

        Args:
            tenant: The tenant.
            user_id: Whose runs.
            before: Only runs that are older than this position.
            at_most: How many, 1 to 1000; fewer only where there are no more.
        """
        ...

    def of_session(
        self, tenant: str, session_id: str, *, before: str | None, at_most: int
    ) -> Sequence[ListedRun]:
        """Return a session's runs, whosever they are; otherwise like `of_user`."""
        ...

    def active(self, tenant: str, *, user_id: str | None) -> Collection[str]:
        """
        Return the ids of all runs that are QUEUED, RUNNING or PAUSED, and of some that have ended.

        Args:
            tenant: The tenant.
            user_id: Whose runs; None: everybody's.
        """
        ...

    def pauses(self, tenant: str, *, user_id: str | None) -> Sequence[ListedPause]:
        """Return all runs that are PAUSED, and some that were, the oldest pause first."""
        ...
