"""How much of a tool's result is passed on."""

from typing import Any

from pydantic_core import to_json

MAX_RESULT_BYTES = 64 * 1024


def bounded(result: Any) -> Any:
    """
    Cut a result whose JSON is larger than 64 KB, for the model and the stream alike.

    Returns:
        The result as it is; or, when it is too large, a text: the first 64 KB of its JSON (of the
        text itself, where it is one) and how much there was.
    """
    dumped = result.encode() if isinstance(result, str) else to_json(result, fallback=str)
    if len(dumped) <= MAX_RESULT_BYTES:
        return result
    kept = dumped[:MAX_RESULT_BYTES].decode(errors="ignore")
    return f"{kept} … [cut: {MAX_RESULT_BYTES} of {len(dumped)} bytes]"
