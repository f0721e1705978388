"""Reads a request: its headers, its JSON body, and the Lambda invocation that it is."""

import codecs
import json
import math
import re
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnauthenticatedError,
)
from agentrun.domain.ports import Clock
from agentrun.http.problems import invalid_request
from agentrun.service.starting.start_run import Idempotency, Reader

# An id beyond this is no event's; Python would read numbers of any length.
_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)
_QUOTED = re.compile(r'"[^"]*"')
_NO_WEIGHT = re.compile(r"q\s*=\s*0(\.0*)?")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def cursor_of(request: Request) -> int:
    """
    Read the id of the last event that a client has seen, 0 for none.

    EventSource sends `Last-Event-ID` by itself (HTML standard, "Server-sent events"). The query
    parameter `lastEventId` is for clients that cannot set headers; the header wins.

    Raises:
        InvalidRequestError: It is not a non-negative integer, or there are several headers.
    """
    header, query = _only(request, "Last-Event-ID"), request.query_params.get("lastEventId")
    given = [_event_id(text) for text in (header, query) if text]
    return given[0] if given else 0


def ticket_of(request: Request) -> str | None:
    """
    Read the ticket with which a browser's own EventSource comes, which can send no header.

    A request that has an `Authorization` header is judged by that alone, and the REST API lets none
    through without one.

    Returns:
        The ticket, whatever it is; None if it does not count.

    Raises:
        UnauthenticatedError: There are several.
    """
    if not came_by_function_url(request) or "authorization" in request.headers:
        return None
    tickets = request.query_params.getlist("ticket")
    if len(tickets) > 1:
        raise UnauthenticatedError("several tickets")
    return tickets[0] if tickets else None


def comes_again(request: Request) -> bool:
    """Tell whether an EventSource has lost its connection: only then does it send this header."""
    return bool(request.headers.get("Last-Event-ID"))


def reader_of(request: Request, body: JsonValue) -> Reader:
    """
    Read how far the client of a request that starts a run has read its stream already.

    EventSource polyfills that POST add `Last-Event-ID` when they send the request again.

    Raises:
        InvalidRequestError: It is not a non-negative integer, or there are several headers.
    """
    header = _only(request, "Last-Event-ID")
    return Reader(body=body, cursor=_event_id(header) if header else None)


def _event_id(text: str) -> int:
    if not _CURSOR.fullmatch(text):
        raise _invalid("Last-Event-ID", "must be a non-negative integer")
    return int(text)


def idempotency_of(request: Request, body: JsonValue) -> Idempotency | None:
    """
    Read a request's Idempotency-Key; `body` is its body as plain JSON.

    Raises:
        InvalidRequestError: The key is not 1 to 255 visible ASCII characters, or there are several.
    """
    key = _only(request, "Idempotency-Key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise _invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return Idempotency(key=key, body=body)


def session_policy_of(request: Request) -> SessionPolicy:
    """
    Read what a new run does while another one uses its session.

    Raises:
        InvalidRequestError: `X-Session-Policy` is none of the policies, or there are several.
    """
    wanted = _only(request, "X-Session-Policy")
    try:
        return SessionPolicy(wanted.strip().lower()) if wanted is not None else SessionPolicy.REJECT
    except ValueError:
        raise _invalid("X-Session-Policy", f"must be one of {', '.join(SessionPolicy)}") from None


def wants_stream(request: Request) -> bool:
    """
    Tell whether `Accept` names `text/event-stream` (RFC 9110, section 12.5.1).

    A wildcard names no type, and a weight of 0 says that the type is not wanted.
    """
    # Quoted parameters may contain commas and semicolons.
    accepted = _QUOTED.sub("", ",".join(request.headers.getlist("accept"))).lower()
    ranges = ([part.strip() for part in text.split(";")] for text in accepted.split(","))
    return any(
        media_type == "text/event-stream" and not any(map(_NO_WEIGHT.fullmatch, parameters))
        for media_type, *parameters in ranges
    )


def _only(request: Request, name: str) -> str | None:
    """Return a header that may be there once: gateways disagree on which of several counts."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise _invalid(name, "must be there once at most")
    return values[0] if values else None


def _invalid(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} {why}.", params=[(name, why)])


def deadline_of(request: Request, clock: Clock) -> datetime | None:
    """Return when Lambda will stop the invocation; None outside Lambda."""
    context = request.scope.get("aws.context")
    if context is None:
        return None
    return clock.now() + timedelta(milliseconds=context.get_remaining_time_in_millis())


def came_by_function_url(request: Request) -> bool:
    """Tell whether a request came by the Function URL, whose payloads have version 2.0."""
    return bool(request.scope.get("aws.event", {}).get("version") == "2.0")


MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's request limit, the same at both doors."""

_JSON_TYPE = re.compile(r"application/(?:[\w!#$&^.-]+\+)?json", re.ASCII)

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, shape: type[Body]) -> Body:
    """
    Read and validate a request's JSON body.

    Raises:
        AgentrunError: As `read_json` and `validated` say.
        HTTPException: As `read_json` says.
    """
    return validated(await read_json(request), shape)


async def read_json(request: Request) -> JsonValue:
    """
    Read a request's body as plain JSON.

    Raises:
        HTTPException: 415, the content type is not JSON in UTF-8, or the body is compressed.
        PayloadTooLargeError: More than 6 MiB; nothing of it has been parsed.
        InvalidRequestError: `parse_json` refuses it.
    """
    # All of several headers: a gateway may have joined them too.
    content_type = ", ".join(request.headers.getlist("content-type")).strip()
    if not _is_json(content_type):
        raise HTTPException(415, "The body needs the content type application/json, in UTF-8.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "The body must not be compressed.")
    return parse_json(await _bytes_of(request))


def validated(value: JsonValue, shape: type[Body]) -> Body:
    """
    Read plain JSON as a pydantic class.

    Raises:
        InvalidRequestError: It does not fit the class; names each field at fault.
    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise invalid_request(error.errors(include_input=False, include_url=False)) from error


def _is_json(content_type: str) -> bool:
    """Tell whether it is JSON in UTF-8; JSON needs no charset (RFC 8259, section 11)."""
    media_type, *parameters = content_type.lower().split(";")
    named = (parameter.partition("=") for parameter in parameters)
    charsets = {value.strip(' "') for name, _, value in named if name.strip() == "charset"}
    return _JSON_TYPE.fullmatch(media_type.strip()) is not None and charsets <= {"utf-8", "utf8"}


async def _bytes_of(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


MAX_DEPTH = 64
MAX_CONTAINERS = 10_000
"""Arrays and objects: our requests have a few dozen, and a million take seconds to parse."""
MAX_NUMBER_CHARACTERS = 1_000
"""Python reads integers of up to 4300 digits; a double takes 25 characters."""

# Possessive: a body may have millions of escapes, each of them a point to backtrack to.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(body: bytes) -> JsonValue:
    """
    Read a body strictly as one JSON value (RFC 8259).

    Anything that two parsers might read differently is refused, so that what is checked is what is
    used, stored and passed on: a byte order mark; duplicate names and unpaired surrogates (sections
    4 and 8.2); NaN, Infinity and numbers beyond a double. So is anything that strains a parser:
    more than 64 levels, 10 000 arrays and objects, or 1000 characters in a number.

    Raises:
        InvalidRequestError: The body is refused; says why, but not what was sent.
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
