"""A text that comes in fragments, some of which may be taken back."""

from bisect import bisect_right
from itertools import pairwise


class Fragments:
    """Keeps each fragment with the id of its event; ids ascend."""

    def __init__(self) -> None:
        """Begin with no text."""
        self._ids: list[int] = []
        self._texts: list[str] = []
        self._joined = ""
        self._joined_count = 0

    def append(self, event_id: int, text: str) -> None:
        """Take the next fragment."""
        self._ids.append(event_id)
        self._texts.append(text)

    def drop_above(self, event_id: int) -> None:
        """Take back the fragments of events with higher ids."""
        kept = bisect_right(self._ids, event_id)
        del self._ids[kept:], self._texts[kept:]
        if kept < self._joined_count:
            self._joined, self._joined_count = "", 0

    @property
    def text(self) -> str:
        """All fragments in one piece; asking after each of them joins none of them again."""
        if self._joined_count < len(self._texts):
            self._joined += "".join(self._texts[self._joined_count :])
            self._joined_count = len(self._texts)
        return self._joined

    def split_at(self, starts: list[int]) -> tuple[str, ...]:
        """Return the text in pieces that begin with these events; what was taken back has none."""
        places = [bisect_right(self._ids, event_id - 1) for event_id in starts]
        pairs = pairwise([*places, len(self._texts)])
        return tuple("".join(self._texts[begin:end]) for begin, end in pairs if begin < end)
