"""
One strict reading of JSON (RFC 8259) for all request bodies.

Whatever two parsers might read differently is refused, so that what has been checked is what is
used, stored and passed on.
"""

import codecs
import json
import math
import re

from pydantic import JsonValue

from agentrun.domain.errors import InvalidRequestError

MAX_DEPTH = 64
MAX_CONTAINERS = 10_000
"""Arrays and objects; a request of ours has a few dozen, and a million of them take seconds."""
MAX_NUMBER_CHARACTERS = 1_000
"""Python itself reads integers of up to 4300 digits only; a double takes 25 characters."""

# Possessive, because a body may have millions of escapes and each would be a point to go back to.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(body: bytes) -> JsonValue:
    """
    Read a body as one JSON value.

    Refused are, besides what is no JSON in UTF-8: a byte order mark; a name that an object has
    twice, and a surrogate without its other half, which parsers read in different ways (RFC 8259,
    sections 4 and 8.2); NaN, Infinity and numbers beyond a double; and what is there to strain a
    parser: more than 64 levels, 10 000 arrays and objects, or 1000 characters in a number.

    Raises:
        InvalidRequestError: The body is refused; says why, and never what was sent.
    """
    if body.startswith(codecs.BOM_UTF8):
        raise _refused("begins with a byte order mark")
    try:
        _check_structure(body)
        value: JsonValue = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
        if _SURROGATE_ESCAPE.search(body):
            _check_characters(value)
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise _refused(reason if body.strip() else "is empty") from None
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None
    return value


def _check_structure(body: bytes) -> None:
    brackets = _STRING.sub(b"", body).translate(None, _ALL_BUT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") > MAX_CONTAINERS:
        raise _refused(f"has more than {MAX_CONTAINERS} arrays and objects")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise _refused(f"is nested more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, JsonValue]]) -> JsonValue:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _refused("has an object with the same name twice")
    return found


def _constant(name: str) -> JsonValue:
    raise _refused(f"is not JSON: {name} is no number of JSON")


def _int(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARACTERS:
        raise _refused(f"has a number of more than {MAX_NUMBER_CHARACTERS} characters")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > MAX_NUMBER_CHARACTERS:
        raise _refused(f"has a number of more than {MAX_NUMBER_CHARACTERS} characters")
    if not math.isfinite(number := float(digits)):
        raise _refused("has a number that is too large")
    return number


def _check_characters(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _refused("has half of a surrogate pair in a string") from None


def _refused(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"The body {reason}.", params=[("body", reason)])
