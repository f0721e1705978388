"""The port for what happened during runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import RunKey


class EventLog(Protocol):
    """Keeps what happened during runs."""

    def append(
        self,
        key: RunKey,
        events: Sequence[RecordedEvent],
        *,
        at: datetime,
        supersedes: bool = False,
    ) -> None:
        """
        Store consecutive events as one segment; the same segment again changes nothing.

        A segment takes the place of an earlier one that ends with the same id. One that supersedes
        keeps its place against all that do not: an earlier write may still be on its way.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def read(self, key: RunKey, *, after: int, at: datetime) -> Sequence[RecordedEvent]:
        """
        Return the stored events with ids above `after`, in order, up to about 1 MB of them.

        Segments expire from the first on. One that has expired at `at` is not given, whether it
        has been deleted by then or not.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def keep(self, key: RunKey, *, since: datetime, at: datetime) -> None:
        """
        Have events that are stored expire no earlier than what is written at `at`.

        Costs nothing where they do so anyway, all of them having been written after `since`. What
        has expired stays expired. Calling again changes nothing.

        Raises:
            StoreUnavailableError: Some may expire earlier; retrying is safe.
        """
        ...
