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
# The revisions that begin with `initialize`; for tools they differ in nothing that matters here.
KNOWN_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", OFFERED_VERSION})
_METHOD_NOT_FOUND = -32601
_SHORTEST_SECRET = 6
_MAX_REASON_CHARACTERS = 500
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPED = re.compile(_PAIR + r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


class McpError(Exception):
    """What an MCP server has done wrong: a predicate of "the server", without any secret."""


class McpRefusalError(McpError):
    """The server has refused a request, in its own words, which may quote what it was sent."""


class _Received(BaseModel):
    # Built when the first server answers: most agents have none.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Initialized(_Received):
    """The server's answer to `initialize`."""

    protocol_version: str = Field(alias="protocolVersion")


class ToolPage(_Received):
    """One page of `tools/list`; a tool that is odd must not hide the others."""

    tools: tuple[JsonValue, ...]
    next_cursor: JsonValue = Field(default=None, alias="nextCursor")

    @property
    def following(self) -> str | int | None:
        """What to ask for the next page with; an empty text is a cursor as any other."""
        cursor = self.next_cursor
        return cursor if isinstance(cursor, str | int) and not isinstance(cursor, bool) else None


def parse(text: str | bytes, secrets: Collection[str]) -> list[JsonObject]:
    """
    Read JSON-RPC messages: one, or several as revision 2025-03-26 allowed.

    A server may send back what it was sent, so the secrets among it are blotted out here, before
    anything else sees the message. Very short ones are not: they would occur by chance.

    Raises:
        McpError: It is not JSON.
    """
    try:
        read = _json(text)
    except ValueError:
        raise McpError("has answered with something that is not JSON") from None
    # The longest first: one may be a part of another.
    hidden = sorted(filter(_can_be_found, secrets), key=len, reverse=True)
    items = _without(read, hidden) if hidden else read
    return [item for item in (items if isinstance(items, list) else [items]) if _is_object(item)]


def _json(text: str | bytes) -> JsonValue:
    with suppress(ValueError):
        strict: JsonValue = from_json(text, allow_inf_nan=False)
        return strict
    # What the JSON libraries of several languages write, and strict ones do not read: a byte order
    # mark, half of a surrogate pair where a text was cut inside an emoji, NaN and infinity.
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
    """Find the answer, good or bad, to the request of a number; None stands for any."""
    for message in messages:
        if "result" in message or "error" in message:
            given = message.get("id")
            # Of a request that it could not read, a server does not know the id.
            unknown = given is None and "error" in message
            if number is None or unknown or given in (number, str(number)):
                return message
    return None


def result_of(message: JsonObject) -> JsonObject:
    """
    Return what a request was answered with.

    Raises:
        McpRefusalError: With an error.
        McpError: With something that is no object.
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
    Answer what a server asks of us; None where it asks nothing.

    It may see whether we are there. Sampling, elicitation and roots are refused: a server does not
    get to use the agent's model, nor to talk to its user.
    """
    if "method" not in message or "id" not in message:
        return None
    reply: JsonObject = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "ping":
        return {**reply, "result": {}}
    return {**reply, "error": {"code": _METHOD_NOT_FOUND, "message": "Not supported."}}


def _is_object(value: object) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)
