"""Any value as JSON."""

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, from_json, to_json

from agent_catalog.unicode_text import whole_text, whole_value


def to_json_value(value: object) -> JsonValue:
    """
    Return a value's form in JSON; what has none is shown as text, as are NaN and infinity.

    Half a character, which no UTF-8 can hold, becomes U+FFFD.
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
