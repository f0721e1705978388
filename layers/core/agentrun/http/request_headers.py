"""What requests say in their headers: where to go on, and which of them are the same."""

import re

from pydantic import JsonValue
from starlette.requests import Request

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import InvalidRequestError
from agentrun.service.reconnect import Reader
from agentrun.service.start_run import Idempotency

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
    """Give a header that stands at most once: which of several is meant, gateways read unlike."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise _invalid(name, "must be there once at most")
    return values[0] if values else None


def _invalid(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} {why}.", params=[(name, why)])
