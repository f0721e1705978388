"""
Text that can be written as UTF-8, from providers whose JSON may hold half a character.

JSON can name the two halves of a surrogate pair one by one (RFC 8259, section 8.2), so a stream may
cut a character between two fragments. Python reads each half as a character of its own, and no
writer of UTF-8 takes it.
"""

import json
import math
import re
from typing import Any

REPLACEMENT = "\ufffd"
"""What stands for half a character whose other half never came."""

_HALF = re.compile(r"[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def whole_text(text: str) -> str:
    """Join the halves of surrogate pairs that meet, and put U+FFFD for each that stands alone."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_json_text(text: str) -> str:
    """Do the same for a text that should be JSON, where halves may be written as escapes."""
    text = whole_text(text)
    if not _ESCAPED_HALF.search(text):
        return text
    try:
        # Unlike pydantic's, this parser reads a lone half.
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    dumped = json.dumps(value, ensure_ascii=False)
    return json.dumps(whole_value(value), ensure_ascii=False) if _HALF.search(dumped) else text


def whole_value(value: Any) -> Any:
    """Do the same for every text in a JSON value, and write NaN and infinity as text."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such numbers (RFC 8259, section 6); `json_form` writes them alike.
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list | tuple):
        return [whole_value(item) for item in value]
    if isinstance(value, dict):
        return {
            whole_text(key) if isinstance(key, str) else key: whole_value(item)
            for key, item in value.items()
        }
    return value


class HalfCharacters:
    """Passes on a text that comes in fragments, and holds a half back until the next one."""

    def __init__(self) -> None:
        self._held = ""

    def take(self, fragment: str) -> str:
        """Return what can be said by now; maybe nothing."""
        if not self._held and fragment.isascii():
            return fragment
        text = self._held + fragment
        self._held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return whole_text(text[: len(text) - len(self._held)])

    def rest(self) -> str:
        """Return U+FFFD if a half is still held; to be called when no fragment comes any more."""
        held, self._held = self._held, ""
        return REPLACEMENT if held else ""
