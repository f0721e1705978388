"""A client's request and a function's answer, as both doors take and give them."""

import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentrun_local.doors.prelude import MalformedAnswerError, Prelude, PreludeParser
from agentrun_local.functions.invocation import FunctionError, Invocation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class RequestTooLargeError(Exception):
    """The body is larger than the door takes."""


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True)
class HttpRequest:
    """
    Method, target, headers and body.

    `path` and `query` are as sent, percent-encoded; header names are in lower case and may stand
    several times.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    source_ip: str
    protocol: str
    port: int
    body: bytes = b""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace_id: str = field(
        default_factory=lambda: f"Root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]}"
    )

    def header(self, name: str) -> str | None:
        """Return a header's last value, by its name in any case."""
        values = [value for key, value in self.headers if key == name.lower()]
        return values[-1] if values else None


def request_head(scope: Scope) -> HttpRequest:
    """Take what the ASGI server knows before the body; `body` is empty."""
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("ascii", "replace"),
        query=scope["query_string"].decode("ascii", "replace"),
        headers=tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]),
        source_ip=scope["client"][0],
        protocol=f"HTTP/{scope['http_version']}",
        port=scope["server"][1],
    )


async def read_body(request: HttpRequest, receive: Receive, *, limit_bytes: int) -> HttpRequest:
    """
    Complete a request with its body.

    Raises:
        RequestTooLargeError: The body is larger than the limit; it is not read to its end.
        ClientGoneError: The client went away meanwhile.
    """
    if int(request.header("content-length") or 0) > limit_bytes:
        raise RequestTooLargeError
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            raise RequestTooLargeError
        more = message.get("more_body", False)
    return replace(request, body=bytes(body))


# The connection's own business, or wrong once a body is sent in chunks.
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_WITHOUT_BODY = frozenset({204, 304})


class StreamBrokenError(Exception):
    """The function failed in mid-stream: the connection must be cut, not ended."""


async def send_whole(
    send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> None:
    """Send an answer at once."""
    fields = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
    if status in _WITHOUT_BODY:
        body = b""
    else:
        fields.append(("content-length", str(len(body))))
    await _start(send, status, fields)
    await send({"type": "http.response.body", "body": body})


async def send_stream(send: Send, prelude: Prelude, first: bytes, invocation: Invocation) -> None:
    """
    Send an answer as it arrives, chunk by chunk.

    Raises:
        StreamBrokenError: The function failed; what came before has been sent.
    """
    fields = [(name, value) for name, value in prelude.headers if name.lower() not in _HOP_BY_HOP]
    sends_body = prelude.status not in _WITHOUT_BODY
    await _start(send, prelude.status, fields)
    if first and sends_body:
        await send({"type": "http.response.body", "body": first, "more_body": True})
    try:
        async for chunk in invocation.body():
            if chunk and sends_body:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except FunctionError as error:
        raise StreamBrokenError from error
    await send({"type": "http.response.body", "body": b""})


async def read_prelude(invocation: Invocation) -> tuple[Prelude, bytes]:
    """
    Read from a streamed response up to its body.

    Returns:
        The prelude and the first bytes of the body, which may be empty.

    Raises:
        FunctionError: The function failed before that.
        MalformedAnswerError: The response does not begin with a prelude.
    """
    parser = PreludeParser()
    async for chunk in invocation.body():
        found = parser.feed(chunk)
        if found is not None:
            # For the log: whose end a process takes with it.
            invocation.run_id = dict(found[0].headers).get("x-run-id")
            return found
    raise MalformedAnswerError("The response ended before its prelude did.")


async def _start(send: Send, status: int, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
