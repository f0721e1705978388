"""The messages of the Model Context Protocol, as far as tools need them."""

import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import TypeGuard

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import from_json, to_json

JsonObject = dict[str, JsonValue]

INITIALIZE = "initialize"
OFFERED_VERSION = "2025-11-25"
# The revisions that begin with `initialize`; their differences do not matter for tools.
KNOWN_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", OFFERED_VERSION})
_METHOD_NOT_FOUND = -32601
_SHORTEST_SECRET = 6
_MAX_REASON_CHARACTERS = 500
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPED = re.compile(_PAIR + r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


class McpError(Exception):
    """An MCP server's fault, worded to follow "the server", without secrets."""


class McpUntakenError(McpError):
    """The request did not reach the server, or was turned away: nothing has come of it."""


class McpRefusalError(McpError):
    """The server refused a request, in its own words, which may quote what it was sent."""


class _Received(BaseModel):
    # Built when the first server answers: few agents have one.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Initialized(_Received):
    """The server's answer to `initialize`."""

    protocol_version: str = Field(alias="protocolVersion")


class ToolPage(_Received):
    """One page of `tools/list`; a malformed tool does not hide the others."""

    tools: tuple[JsonValue, ...]
    next_cursor: JsonValue = Field(default=None, alias="nextCursor")

    @property
    def following(self) -> str | int | None:
        """The cursor of the next page, which may be an empty text; None on the last page."""
        cursor = self.next_cursor
        return cursor if isinstance(cursor, str | int) and not isinstance(cursor, bool) else None


def parse(text: str | bytes, secrets: Collection[str]) -> list[JsonObject]:
    """
    Read JSON-RPC messages: one, or several as in revision 2025-03-26.

    A server may echo what it was sent, so secrets are removed here. Very short ones are not, since
    they would occur by chance.

    Raises:
        McpError: It is not JSON.
    """
    try:
        read = _json(text)
    except ValueError:
        raise McpError("has answered with something that is not JSON") from None
    # Longest first: one may be a part of another.
    hidden = sorted(filter(_can_be_found, secrets), key=len, reverse=True)
    items = _without(read, hidden) if hidden else read
    return [item for item in (items if isinstance(items, list) else [items]) if _is_object(item)]


def _json(text: str | bytes) -> JsonValue:
    with suppress(ValueError):
        strict: JsonValue = from_json(text, allow_inf_nan=False)
        return strict
    # JSON libraries of some languages write what strict ones refuse: a byte order mark, half a
    # surrogate pair where a text was cut inside an emoji, NaN and infinity.
    decoded = text if isinstance(text, str) else text.decode(errors="replace")
    whole = _ESCAPED.sub(_without_half_pair, decoded.removeprefix("\ufeff"))
    lenient: JsonValue = from_json(to_json(from_json(whole), inf_nan_mode="strings"))
    return lenient


def _without_half_pair(escaped: re.Match[str]) -> str:
    return "\\ufffd" if escaped["half"] else escaped[0]


def _can_be_found(secret: str) -> bool:
    return len(secret) >= _SHORTEST_SECRET


def _without(value: JsonValue, secrets: Sequence[str]) -> JsonValue:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "[secret]")
        return value
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, dict):
        return {str(_without(key, secrets)): _without(value[key], secrets) for key in value}
    return value


def answer_among(messages: Iterable[JsonObject], number: int | None) -> JsonObject | None:
    """Find the answer or error for a request by its number; None stands for any."""
    for message in messages:
        if "result" in message or "error" in message:
            given = message.get("id")
            # A server does not know the id of a request that it could not read.
            unknown = given is None and "error" in message
            if number is None or unknown or given in (number, str(number)):
                return message
    return None


def result_of(message: JsonObject) -> JsonObject:
    """
    Return the result in an answer.

    Raises:
        McpRefusalError: The answer is an error.
        McpError: The result is not an object.
    """
    error, result = message.get("error"), message.get("result")
    if error is not None and error is not False:
        said = error.get("message") if _is_object(error) else error
        # On one line: it goes into the log as well.
        reason = " ".join(said.split())[:_MAX_REASON_CHARACTERS] if isinstance(said, str) else ""
        raise McpRefusalError(f"has refused the request: {reason.rstrip('.') or 'no reason given'}")
    if not _is_object(result):
        raise McpError("has given an answer that is not one")
    return result


def reply_to(message: JsonObject) -> JsonObject | None:
    """
    Return the reply to a server's own request; None if the message is not one.

    Pings are answered. Sampling, elicitation and roots are refused: a server may neither use the
    agent's model nor talk to its user.
    """
    if "method" not in message or "id" not in message:
        return None
    reply: JsonObject = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "ping":
        return {**reply, "result": {}}
    return {**reply, "error": {"code": _METHOD_NOT_FOUND, "message": "Not supported."}}


def _is_object(value: object) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)
