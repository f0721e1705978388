"""Any value as JSON."""

from pydantic import JsonValue
from pydantic_core import from_json, to_json


def to_json_value(value: object) -> JsonValue:
    """Give a value's form in JSON; what has none is shown as text, as are NaN and infinity."""
    dumped = to_json(value, inf_nan_mode="strings", bytes_mode="base64", fallback=str)
    result: JsonValue = from_json(dumped)
    return result
