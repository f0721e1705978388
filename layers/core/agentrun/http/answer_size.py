"""The size limit of answers that are sent in one piece, and how texts are cut to meet it."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

MAX_ANSWER_BYTES = 6_291_556
"""A buffered answer with its headers: Lambda's 6 MB, as its error states it ("Lambda quotas")."""
HEADERS_BYTES = 32 * 1024
"""Room for status and headers, each sent twice; API Gateway allows a request 10 KB of them."""
MAX_BODY_BYTES = MAX_ANSWER_BYTES - HEADERS_BYTES
LEAST_CUT_BYTES = 64 * 1024
"""A list entry that would be cut to less than this is left out."""
_TEXTS = ("input", "output", "content")
_FLAG_BYTES = 32
"""For `"outputTruncated":true` and its comma."""
_BLOCK_CHARACTERS = 64 * 1024


class AnswerTooLargeError(Exception):
    """Cutting its texts cannot make the answer fit."""


def sent_bytes(body: bytes) -> int:
    """
    Measure a JSON body as its function sends it: as a string inside JSON, in UTF-8.

    API Gateway's proxy integration requires that, and awslambdaric (4.2.2,
    `lambda_runtime_marshaller`) writes it. Escapes are escaped again: a quote in a text takes four
    bytes, a control character seven.
    """
    return len(json.dumps(body.decode(), ensure_ascii=False).encode()) - 2


def whole(body: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """
    Serialize a body without cutting anything.

    Raises:
        AnswerTooLargeError: It does not fit.
    """
    written = to_json(body)
    if not _fits(written, MAX_BODY_BYTES):
        raise AnswerTooLargeError(f"the body has {sent_bytes(written)} bytes as it is sent")
    return written


def fitted(bodies: Sequence[Mapping[str, Any]], room_bytes: int = MAX_BODY_BYTES) -> list[bytes]:
    """
    Serialize all bodies so that they fit together, cutting the longest texts.

    `input`, `output` and `content` are cut at a character boundary and marked, for example by
    `outputTruncated`. If that is not enough, the largest `requiredAction` are left out.

    Args:
        bodies: All bodies of one answer.
        room_bytes: How many bytes they may take together, as sent.

    Raises:
        AnswerTooLargeError: They do not fit even without their texts.
    """
    written = [to_json(body) for body in bodies]
    # Escaping a second time makes nothing more than twice as long.
    if 2 * sum(map(len, written)) <= room_bytes or _sent_together(written) <= room_bytes:
        return written
    shortened = [dict(body) for body in bodies]
    room_bytes -= _leave_out_actions(shortened, room_bytes)
    texts = [(body, name, text_bytes(body[name])) for body, name in _texts(shortened)]
    level = _level([size for *_, size in texts], room_bytes)
    for body, name, size in texts:
        if size > level:
            body[name] = cut(body[name], level)
            body[f"{name}Truncated"] = True
    return [to_json(body) for body in shortened]


def newest(bodies: Sequence[Mapping[str, Any]], room_bytes: int = MAX_BODY_BYTES) -> bytes:
    """
    Serialize an array of as many of the last bodies as fit, the oldest first.

    The first one that does not fit is cut to the room that is left, if that is worth it.
    """
    fitting: list[bytes] = []
    left_bytes = room_bytes - 2
    for body in reversed(bodies):
        if left_bytes < LEAST_CUT_BYTES and not _fits(to_json(body), left_bytes):
            break
        try:
            fitting += fitted([body], left_bytes)
        except AnswerTooLargeError:
            break
        left_bytes -= sent_bytes(fitting[-1]) + 1
    return as_array(fitting[::-1])


def as_array(written: Sequence[bytes]) -> bytes:
    """Join serialized bodies into one array."""
    return b"[" + b",".join(written) + b"]"


def text_bytes(text: str) -> int:
    """Measure a text as sent inside a body, without its quotes."""
    return sent_bytes(to_json(text)) - 4


def cut(text: str, room_bytes: int) -> str:
    """Cut a text to `room_bytes` as sent, at a character boundary."""
    for start in range(0, len(text), _BLOCK_CHARACTERS):
        block = text[start : start + _BLOCK_CHARACTERS]
        size = text_bytes(block)
        if size > room_bytes:
            lengths = range(len(block) + 1)
            fitting = bisect_right(lengths, room_bytes, key=lambda end: text_bytes(block[:end]))
            return text[: start + max(0, fitting - 1)]
        room_bytes -= size
    return text


def _fits(written: bytes, room_bytes: int) -> bool:
    return 2 * len(written) <= room_bytes or sent_bytes(written) <= room_bytes


def _sent_together(written: Sequence[bytes]) -> int:
    """Measure an array of bodies."""
    return sum(map(sent_bytes, written)) + len(written) + 1


def _texts(bodies: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Return the texts that may be cut, each as its body and field."""
    return [(body, name) for body in bodies for name in _TEXTS if body.get(name)]


def _leave_out_actions(bodies: Sequence[dict[str, Any]], room_bytes: int) -> int:
    """
    Leave out the largest `requiredAction` until the bodies fit without their texts.

    Returns:
        Their size without their texts.

    Raises:
        AnswerTooLargeError: They do not fit.
    """
    blank = [to_json(body | {name: "" for name in _TEXTS if body.get(name)}) for body in bodies]
    size = _sent_together(blank) + _FLAG_BYTES * len(_texts(bodies))
    for body in sorted(bodies, key=_action_bytes, reverse=True):
        if size <= room_bytes:
            return size
        size -= _action_bytes(body)
        body.pop("requiredAction", None)
    if size > room_bytes:
        raise AnswerTooLargeError(f"{size - room_bytes} bytes are too many, without any text")
    return size


def _action_bytes(body: Mapping[str, Any]) -> int:
    action = body.get("requiredAction")
    return 0 if action is None else sent_bytes(to_json({"requiredAction": action}))


def _level(sizes: Sequence[int], room_bytes: int) -> int:
    """Return the size to cut texts to so that they take `room_bytes` together."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room_bytes:
            return room_bytes // left
        room_bytes -= size
        left -= 1
    return max(sizes, default=0)
