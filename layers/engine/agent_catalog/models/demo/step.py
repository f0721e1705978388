"""What the demo model does next, and what it has to go by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Words with the white space after them; nothing is lost, so the tokens joined are the text.
_TOKEN = re.compile(r"\S{1,12}\s{0,4}|\s{1,4}")


@dataclass(frozen=True)
class ToolCall:
    """A tool to call, by name, and the arguments to call it with: a JSON object."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ToolResult:
    """A call that has been answered; `content` is JSON, or why it failed or was rejected."""

    call: ToolCall
    content: Any
    failed: bool = False
    rejected: bool = False


@dataclass(frozen=True)
class Conversation:
    """
    What has been said so far.

    `message` is what the user has said last, `media` the type and the size in bytes of each file
    that came with it, `results` what the tools have answered to it, in the order of the calls, and
    `earlier` what the user has said before, the oldest first.
    """

    message: str
    media: Sequence[tuple[str, int]] = ()
    results: Sequence[ToolResult] = ()
    earlier: Sequence[str] = ()


@dataclass(frozen=True)
class Step:
    """
    One answer of the demo model: reasoning first, then either tool calls or the text's tokens.

    `pace_s` is the pause after each token in seconds, None for the model's own; `lead_s` the
    silence before the first; `fails` means that the model breaks off after the last token.
    """

    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    tokens: Sequence[str] = ()
    pace_s: float | None = None
    lead_s: float = 0
    fails: bool = False


def split_tokens(text: str) -> list[str]:
    """Cut a text into small pieces; joined, they are the text again, character for character."""
    return _TOKEN.findall(text)
