"""What the demo model remembers: it quotes what the user has said earlier in the conversation."""

import re
from collections.abc import Callable, Sequence

_MAX_CHARACTERS = 300
_PLACED = re.compile(
    r"\bmy (first|last|previous) (?:question|message|request)\b"
    r"|\bi (?:say|ask)(?: you)? (first|last)\b",
    re.IGNORECASE,
)
_NAME_ASKED = re.compile(r"\bwhat(?:'s| is) my name\b|\bwho am i\b", re.IGNORECASE)
_NAME_SAID = re.compile(
    r"\b(?i:my name is|i am called|call me)\b|\b(?:I am|I'm) (?=[A-Z])", re.UNICODE
)
_SAID_ASKED = re.compile(
    r"\bwhat (?:did i|i) (?:say|said|tell you|told you|ask|asked|mention|mentioned)"
    r"(?:\s+(?:you\s+)?(?:about|of)?\s*(?P<about>[^?]+))?",
    re.IGNORECASE,
)
_MINE_ASKED = re.compile(r"\bwhat(?:'s| is| was| are| were) my (?P<about>[^?]+)", re.IGNORECASE)
_WORD = re.compile(r"\w{3,}")
_NO_TOPIC = {"about", "and", "before", "earlier", "just", "now", "that", "the", "this", "you"}


def recall(message: str, earlier: Sequence[str]) -> str | None:
    """
    Answer a question about what the user has said.

    Args:
        message: What the user has said last.
        earlier: What the user has said before, the oldest first.

    Returns:
        The answer, which quotes it or says that it was not said; None for any other question.
    """
    if match := _PLACED.search(message):
        return _placed((match[1] or match[2]).lower(), earlier)
    if _NAME_ASKED.search(message):
        found = _latest(earlier, lambda said: bool(_NAME_SAID.search(said)))
        return _quoted(found) if found else "You have not told me your name in this conversation."
    if match := _SAID_ASKED.search(message):
        return _about(match["about"] or "", earlier)
    if match := _MINE_ASKED.search(message):
        said = re.compile(
            rf"\bmy {re.escape(match['about'].strip())} (?:is|was|are|were)\b", re.IGNORECASE
        )
        found = _latest(earlier, lambda text: bool(said.search(text)))
        return _quoted(found) if found else None
    return None


def _placed(place: str, earlier: Sequence[str]) -> str:
    if not earlier:
        return "There is none: this conversation begins with your question."
    return _quoted(earlier[0 if place == "first" else -1], f"Your {place} message was")


def _about(topic: str, earlier: Sequence[str]) -> str:
    words = {word.lower() for word in _WORD.findall(topic)} - _NO_TOPIC
    if not words:
        return _placed("last", earlier)
    found = _latest(earlier, lambda said: bool(words & {w.lower() for w in _WORD.findall(said)}))
    return _quoted(found) if found else f"You have said nothing about {topic.strip()} here."


def _latest(earlier: Sequence[str], fits: Callable[[str], bool]) -> str | None:
    # A question about what was said is not what was said.
    statements = (said for said in reversed(earlier) if not _SAID_ASKED.search(said))
    return next((said for said in statements if fits(said)), None)


def _quoted(text: str, introduction: str = "You said") -> str:
    shown = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} …"
    return f"{introduction}: “{shown}”"
