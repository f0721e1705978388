"""Places of readers in a set."""

import threading
from collections.abc import Sequence
from datetime import datetime

from agentrun.domain.quotas import ReaderPlace


class InMemoryReaderQuota:
    """The port `ReaderQuota` in a set; several threads may use it at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: set[ReaderPlace] = set()
        self._lock = threading.Lock()

    def take(self, place: ReaderPlace, *, at: datetime) -> Sequence[ReaderPlace]:
        del at
        with self._lock:
            whose = (place.tenant, place.user)
            of_user = [held for held in self.held if (held.tenant, held.user) == whose]
            if place not in of_user and len(of_user) >= self.limit:
                return of_user
            self.held.add(place)
            return ()

    def release(self, places: Sequence[ReaderPlace]) -> None:
        with self._lock:
            self.held -= set(places)
