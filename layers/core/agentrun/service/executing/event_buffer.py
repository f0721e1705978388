"""Events that wait to be stored."""

from collections import deque
from collections.abc import Sequence

from agentrun.domain.events import RecordedEvent


class EventBuffer:
    """A queue of events that knows roughly how many characters it holds."""

    def __init__(self) -> None:
        self._events: deque[tuple[RecordedEvent, int]] = deque()
        self.characters = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: RecordedEvent, *, characters: int) -> None:
        """Append an event of about this size."""
        self._events.append((event, characters))
        self.characters += characters

    def segment(self, *, characters: int) -> Sequence[RecordedEvent]:
        """Return the first events that have at most this size together, and at least one event."""
        segment: list[RecordedEvent] = []
        total = 0
        for event, size in self._events:
            total += size
            if segment and total > characters:
                break
            segment.append(event)
        return segment

    def drop_after(self, event_id: int) -> None:
        """Forget the events above an id."""
        while self._events and self._events[-1][0].id > event_id:
            self.characters -= self._events.pop()[1]

    def drop(self, count: int) -> None:
        """Forget the first events, which are stored."""
        for _ in range(count):
            _, size = self._events.popleft()
            self.characters -= size
