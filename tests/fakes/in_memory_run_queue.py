"""A queue of runs in a list."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta

from agentrun.domain.runs import RunKey


@dataclass
class HeldInMemory:
    """The port `HeldMessage`; `kept` are the times that it was asked to be kept for."""

    key: RunKey
    received: int = 1
    is_held: bool = True
    kept: list[timedelta] = field(default_factory=list)

    def keep_for(self, time: timedelta) -> bool:
        self.kept.append(time)
        return self.is_held


class InMemoryRunQueue:
    """The port `RunQueue`; `sent` has all messages, and `take` hands them out without delay."""

    def __init__(self) -> None:
        self.sent: list[tuple[RunKey, timedelta]] = []
        self._lock = threading.Lock()
        self._taken = 0

    def send(self, key: RunKey, *, delay: timedelta = timedelta()) -> None:
        with self._lock:
            self.sent.append((key, delay))

    def take(self) -> HeldInMemory | None:
        """Hand out the next message; None where there is none."""
        with self._lock:
            if self._taken == len(self.sent):
                return None
            key, _ = self.sent[self._taken]
            self._taken += 1
            return HeldInMemory(key)
