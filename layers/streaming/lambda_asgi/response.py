"""From ASGI response messages to the payload of a streamed Lambda response, without I/O."""

import json
from collections.abc import Iterable

from lambda_asgi.asgi import Message
from lambda_asgi.errors import PreludeTooLargeError, UnexpectedMessageError

DELIMITER = bytes(8)
"""Separates the prelude from the body."""

# API Gateway looks for the delimiter within the first 16 KB of a streamed response.
MAX_PRELUDE_BYTES = 16 * 1024

FILLER = b" "
"""
Sent as the body of a response that has none.

After a prelude and NUL bytes alone, Lambda's front ends are reported to keep the connection open
for minutes; after any other byte they end it properly (docs/streaming-runtime.md). A space is white
space in HTML, JSON and text, and not a line of an event stream.
"""

# RFC 9110, 7.6.1: for the next hop only, which is Lambda's business.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})

# RFC 9110, 6.4.1.
_WITHOUT_BODY = frozenset({204, 304})


def encode_prelude(
    status: int, headers: Iterable[tuple[bytes, bytes]], *, bodiless: bool = False
) -> bytes:
    """
    Return the response's metadata as JSON, followed by the delimiter.

    Repeated headers are joined by commas (RFC 9110, 5.3), except `set-cookie`, which goes to
    `cookies`. Names become lower case; bytes are Latin-1. A `content-length` that the filler
    byte would contradict is left out, as it is always optional (RFC 9110, 8.6).

    Raises:
        PreludeTooLargeError: Prelude and delimiter would reach 16 KB.
    """
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name == "content-length" and (bodiless or _length(raw_value) == 0):
            continue
        elif name not in _HOP_BY_HOP:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    prelude = {"statusCode": status, "headers": joined, "cookies": cookies}
    encoded = json.dumps(prelude, separators=(",", ":")).encode() + DELIMITER
    if len(encoded) >= MAX_PRELUDE_BYTES:
        raise PreludeTooLargeError(
            f"Status, headers and cookies take {len(encoded)} bytes; "
            f"a streamed response must stay under {MAX_PRELUDE_BYTES}."
        )
    return encoded


class ResponseEncoder:
    """
    The payload of one response, message by message.

    Answers to HEAD, and with status 204 or 304, have no body (RFC 9110, 6.4.1): what the app sends
    is dropped, as by other ASGI servers. If the app sends no byte of a body, `FILLER` is sent.

    Attributes:
        started: The app has sent `http.response.start`.
        complete: The app has sent its last byte.
        bodiless: The client gets no body, whatever the app sends.
    """

    def __init__(self, method: str) -> None:
        """Take the request's method."""
        self.started = False
        self.complete = False
        self.bodiless = method == "HEAD"
        self._has_bytes = False
        self._missing: int | None = None

    def encode(self, message: Message) -> bytes:
        """
        Return what `message` adds to the payload: the prelude or a part of the body.

        Raises:
            UnexpectedMessageError: ASGI does not allow the message at this point, or the body is
                longer or shorter than its `content-length`.
            PreludeTooLargeError: See `encode_prelude`; the app may still send another start.
        """
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.complete:
            data = b"" if self.bodiless else bytes(message.get("body", b""))
            more = message.get("more_body", False)
            self._count(data, last=not more)
            return data if more else data + self.finish()
        if kind == "http.response.start" and not self.started:
            return self._start(message["status"], list(message.get("headers", ())))
        raise UnexpectedMessageError(f"Unexpected ASGI message {kind!r}.")

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        bodiless = self.bodiless or status in _WITHOUT_BODY
        prelude = encode_prelude(status, headers, bodiless=bodiless)
        self.started, self.bodiless = True, bodiless
        lengths = [_length(v) for k, v in headers if k.lower() == b"content-length"]
        self._missing = lengths[0] if lengths and not bodiless else None
        return prelude

    def _count(self, data: bytes, *, last: bool) -> None:
        if self._missing is not None:
            missing = self._missing - len(data)
            if missing < 0:
                raise UnexpectedMessageError("The body is longer than its Content-Length.")
            if last and missing:
                raise UnexpectedMessageError(
                    f"The body is {missing} bytes shorter than its Content-Length."
                )
            self._missing = missing
        self._has_bytes = self._has_bytes or bool(data)

    def finish(self) -> bytes:
        """
        Mark the body as complete; return what the payload still lacks.

        Raises:
            UnexpectedMessageError: The body is shorter than its `content-length`.
        """
        self._count(b"", last=True)
        self.complete = True
        return self.filler()

    def filler(self) -> bytes:
        """Return `FILLER` if the payload has no byte of a body, else nothing."""
        if self._has_bytes:
            return b""
        self._has_bytes = True
        return FILLER


def _length(value: bytes) -> int | None:
    digits = value.strip()
    return int(digits) if digits.isdigit() else None
