"""A client's request, whole, as both doors take it."""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

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
        """Give a header's last value, by its name in any case."""
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
