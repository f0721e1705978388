"""What requests say in their headers, and their JSON bodies, read only once the caller is known."""

import re
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import InvalidRequestError, PayloadTooLargeError
from agentrun.http.json_body import parse_json
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

    `Last-Event-ID` (HTML standard, "Server-sent events") is what an EventSource sends by itself;
    the query `lastEventId` is for clients that cannot set a header, which wins.

    Raises:
        InvalidRequestError: It is not a non-negative integer, or there are several headers.
    """
    header, query = _only(request, "Last-Event-ID"), request.query_params.get("lastEventId")
    given = [_event_id(text) for text in (header, query) if text]
    return given[0] if given else 0


def reader_of(request: Request, body: JsonValue) -> Reader:
    """
    Read who reads the stream of a request that starts a run, and how far it has read already.

    EventSource polyfills that POST send `Last-Event-ID` with the request when they send it again.

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
    Read the Idempotency-Key of a request, whose body is given as plain JSON.

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
    Read what a new run is to do while another one uses its session.

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
    # Quoted parameters may hold what separates the ranges outside of them.
    accepted = _QUOTED.sub("", ",".join(request.headers.getlist("accept"))).lower()
    ranges = ([part.strip() for part in text.split(";")] for text in accepted.split(","))
    return any(
        media_type == "text/event-stream" and not any(map(_NO_WEIGHT.fullmatch, parameters))
        for media_type, *parameters in ranges
    )


def _only(request: Request, name: str) -> str | None:
    """Return a header that stands at most once: which of several is meant, gateways read unlike."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise _invalid(name, "must be there once at most")
    return values[0] if values else None


def _invalid(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} {why}.", params=[(name, why)])


MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's request limit; whatever the door, the same request is refused."""

_JSON_TYPE = re.compile(r"application/(?:[\w!#$&^.-]+\+)?json", re.ASCII)

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body]) -> Body:
    """
    Read and validate a request's JSON body.

    Raises:
        AgentrunError: As `read_json` and `validated` say.
        HTTPException: As `read_json` says.
    """
    return validated(await read_json(request), model)


async def read_json(request: Request) -> JsonValue:
    """
    Read a request's body as plain JSON.

    Raises:
        HTTPException: 415, the body is not said to be JSON in UTF-8.
        PayloadTooLargeError: More than 6 MiB; nothing of it has been parsed.
        InvalidRequestError: It is no JSON, or JSON that `parse_json` refuses.
    """
    # All of several lines, as a gateway may have joined them too.
    content_type = ", ".join(request.headers.getlist("content-type")).strip()
    if not _is_json(content_type):
        raise HTTPException(415, "The body needs the content type application/json, in UTF-8.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "The body must not be compressed.")
    return parse_json(await _bytes_of(request))


def validated(value: JsonValue, model: type[Body]) -> Body:
    """
    Check plain JSON against a model.

    Raises:
        InvalidRequestError: It is against the model; names each field at fault.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_request(error.errors(include_input=False, include_url=False)) from error


def _is_json(content_type: str) -> bool:
    """Tell JSON in UTF-8; a charset may say so, though JSON has none (RFC 8259, section 11)."""
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
