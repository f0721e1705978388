"""ASGI response messages to the payload of a streamed Lambda response. No I/O."""

import json
from collections.abc import Iterable

from lambda_asgi.asgi import Message
from lambda_asgi.errors import PreludeTooLargeError, UnexpectedMessageError

DELIMITER = bytes(8)
"""What separates the prelude from the body."""

# API Gateway looks for the delimiter within the first 16 KB of a streamed response.
MAX_PRELUDE_BYTES = 16 * 1024

# RFC 9110, 7.6.1: meant for the next hop only, which is none of the app's business here.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


def encode_prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    Return the metadata of the response as JSON, and the delimiter.

    Repeated headers are joined by a comma (RFC 9110, 5.3); `set-cookie`, which must not be, goes
    to `cookies`. Names come out in lower case; bytes are read as Latin-1.

    Raises:
        PreludeTooLargeError: Prelude and delimiter would reach 16 KB.
    """
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
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
    for one is dropped, as ASGI servers do.
    """

    def __init__(self, method: str) -> None:
        self.started = False
        self.complete = False
        self._bodiless = method == "HEAD"

    def encode(self, message: Message) -> bytes:
        """
        Return the bytes that `message` adds to the payload: the prelude, or a part of the body.

        Raises:
            UnexpectedMessageError: Not a message that ASGI allows now.
            PreludeTooLargeError: As `encode_prelude`; the app may still send another start.
        """
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.complete:
            self.complete = not message.get("more_body", False)
            return b"" if self._bodiless else bytes(message.get("body", b""))
        if kind == "http.response.start" and not self.started:
            prelude = encode_prelude(message["status"], message.get("headers", ()))
            self.started = True
            self._bodiless = self._bodiless or message["status"] in {204, 304}
            return prelude
        raise UnexpectedMessageError(f"Unexpected ASGI message {kind!r}.")
