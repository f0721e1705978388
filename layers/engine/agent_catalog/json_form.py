"""
Values and texts in a form that JSON and UTF-8 can hold.

JSON can name the two halves of a surrogate pair separately (RFC 8259, section 8.2), so a stream may
cut a character between two fragments. Python reads each half as a character of its own, which
cannot be encoded as UTF-8.
"""

import json
import math
import re
from typing import Any

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, from_json, to_json


def to_json_value(value: object) -> JsonValue:
    """
    Return a value as JSON; what JSON cannot hold becomes text, NaN and infinity included.

    Half a surrogate pair becomes U+FFFD.
    """
    for form in (lambda: value, lambda: whole_value(value)):
        try:
            result: JsonValue = from_json(_dumped(form()))
        except PydanticSerializationError:
            continue
        return result
    return whole_text(str(value))


def _dumped(value: object) -> bytes:
    return to_json(value, inf_nan_mode="strings", bytes_mode="base64", fallback=str)


REPLACEMENT = "\ufffd"
"""Replaces half a character whose other half never came."""

_HALF = re.compile(r"[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def whole_text(text: str) -> str:
    """Join adjacent halves of surrogate pairs, and replace a lone half with U+FFFD."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_json_text(text: str) -> str:
    """Do the same for a JSON text, in which halves may be escaped."""
    text = whole_text(text)
    if not _ESCAPED_HALF.search(text):
        return text
    try:
        # Unlike pydantic's parser, this one accepts a lone half.
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    dumped = json.dumps(value, ensure_ascii=False)
    return json.dumps(whole_value(value), ensure_ascii=False) if _HALF.search(dumped) else text


def whole_value(value: Any) -> Any:
    """Do the same for every text in a JSON value, and turn NaN and infinity into text."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such numbers (RFC 8259, section 6); `to_json_value` writes them alike.
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
    """Passes on a text that arrives in fragments; half a character waits for its other half."""

    def __init__(self) -> None:
        self._held = ""

    def take(self, fragment: str) -> str:
        """Return what is complete so far, which may be nothing."""
        if not self._held and fragment.isascii():
            return fragment
        text = self._held + fragment
        self._held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return whole_text(text[: len(text) - len(self._held)])

    def rest(self) -> str:
        """Return U+FFFD if a half is still held; call it after the last fragment."""
        held, self._held = self._held, ""
        return REPLACEMENT if held else ""
