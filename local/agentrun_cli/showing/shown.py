"""
What a run's events have put on the screen, and what of it a STEP_RESET makes void.

A terminal cannot take back what has scrolled away, so what is void is said to be, and what still
holds of the interrupted passage is printed again.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class _Piece:
    event_id: int
    passage: int
    text: str
    is_answer: bool


@dataclass(frozen=True)
class Reset:
    """What a STEP_RESET does to the screen: whether anything is void, and what to print again."""

    has_void: bool
    kept: str


class Shown:
    """Remembers the pieces of text that were shown, passage by passage."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._passage = 0

    def add(self, event_id: int, text: str, *, is_answer: bool) -> None:
        """Remember a piece of the answer, or of the reasoning."""
        self._pieces.append(_Piece(event_id, self._passage, text, is_answer))

    def interrupt(self) -> None:
        """Begin a new passage: something other than text, such as a tool call, was shown."""
        self._passage += 1

    def reset(self, to_event_id: int) -> Reset:
        """Forget what was said after an event."""
        void = [piece for piece in self._pieces if piece.event_id > to_event_id]
        if not void:
            return Reset(has_void=False, kept="")
        self._pieces = [piece for piece in self._pieces if piece.event_id <= to_event_id]
        broken = void[0].passage
        kept = (piece.text for piece in self._pieces if piece.passage == broken and piece.is_answer)
        self.interrupt()
        return Reset(has_void=True, kept="".join(kept))
