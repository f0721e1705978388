"""How much of a tool's result is passed on."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json

MAX_RESULT_BYTES = 64 * 1024
# pydantic's reader of JSON takes 200 levels, and a result is kept within a conversation's messages.
MAX_RESULT_DEPTH = 64


def bounded(result: Any) -> Any:
    """
    Cut a result whose JSON is larger than 64 KB, for the model and the stream alike.

    Returns:
        The result as it is; or, when it is too large, a text: the first 64 KB of its JSON (of the
        text itself, where it is one) and how much there was. One that is nested more than 64 levels
        deep is its JSON, as a text.
    """
    dumped = result.encode() if isinstance(result, str) else to_json(result, fallback=str)
    if len(dumped) > MAX_RESULT_BYTES:
        kept = dumped[:MAX_RESULT_BYTES].decode(errors="ignore")
        return f"{kept} … [cut: {MAX_RESULT_BYTES} of {len(dumped)} bytes]"
    return dumped.decode() if _is_deep(result) else result


def _is_deep(result: Any) -> bool:
    level: Iterable[Any] = [result]
    for _ in range(MAX_RESULT_DEPTH):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
