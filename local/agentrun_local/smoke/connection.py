"""
An HTTP/1.1 connection that notes when each piece of an answer arrives.

It uses h11 on a plain socket: a client that reads ahead, or opens a second connection by itself,
would hide how an answer arrives and whether it ends.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h11

_READ_BYTES = 65_536
_CONNECT_S = 15


class ExchangeError(Exception):
    """A request got no complete answer; the message is a sentence without secrets."""


class SilentError(ExchangeError):
    """Nothing arrived in time."""


class ClosedError(ExchangeError):
    """The other side closed the connection without an answer."""


@dataclass(frozen=True)
class Piece:
    """Bytes of a body, and when they arrived, in seconds of `time.monotonic()`."""

    data: bytes
    at: float


@dataclass(frozen=True)
class Head:
    """An answer's status and headers; names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    at: float

    def all(self, name: str) -> list[str]:
        """Return every value of a header, in order."""
        return [value for field, value in self.headers if field == name.lower()]

    def first(self, name: str) -> str:
        """Return a header's first value, or nothing."""
        return next(iter(self.all(name)), "")


class Connection:
    """One request at a time: `request`, then `pieces` to the end, then the next."""

    def __init__(self, base_url: str) -> None:
        """
        Connect to a base URL's host.

        Raises:
            ExchangeError: Nothing answers, or its certificate is not trusted.
        """
        parts = urlsplit(base_url)
        self._host = parts.netloc
        self._base_path = parts.path.rstrip("/")
        self._http = h11.Connection(h11.CLIENT)
        try:
            self._socket = _connected(parts.scheme, parts.hostname or "", parts.port)
        except ssl.SSLCertVerificationError as error:
            raise ExchangeError(
                "the certificate is not trusted here; SSL_CERT_FILE names other authorities"
            ) from error
        except OSError as error:
            raise ExchangeError(f"no connection: {error.strerror or 'it timed out'}") from error

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it at once."""
        self._socket.close()

    @property
    def says_it_closes(self) -> bool:
        """Whether the last answer has announced that the connection closes."""
        return self._http.our_state is h11.MUST_CLOSE

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        within_s: float,
    ) -> Head:
        """
        Send a request and wait for the head of its answer.

        Raises:
            SilentError: No head came in time.
            ClosedError: The connection was closed instead.
            ExchangeError: What came is not HTTP.
        """
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        fields = {"Host": self._host, "User-Agent": "agentrun-smoke", **headers}
        if body or method == "POST":
            fields["Content-Length"] = str(len(body))
        target = f"{self._base_path}{path}"
        try:
            request = h11.Request(method=method, target=target, headers=list(fields.items()))
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # Their messages may quote the token.
            raise ExchangeError(
                "the request cannot be sent: the token, the agent or the origin has a character "
                "that HTTP does not allow"
            ) from None
        self._send(request, body)
        until = time.monotonic() + within_s
        while True:
            try:
                event, at = self._next(until)
            except SilentError as error:
                raise SilentError(f"no answer within {within_s:.1f} s") from error
            if isinstance(event, h11.Response):
                names = tuple((k.decode(), v.decode("latin-1")) for k, v in event.headers)
                return Head(event.status_code, names, at)
            if not isinstance(event, h11.InformationalResponse):
                raise ClosedError("the connection was closed without an answer")

    def pieces(self, *, silent_s: float, until: float | None = None) -> Iterator[Piece]:
        """
        Yield the body as it arrives, up to its end: its length, its last chunk, or the close.

        Args:
            silent_s: The longest silence between two pieces.
            until: When the answer has to have ended, by `time.monotonic()`.

        Raises:
            SilentError: Neither a piece nor the end arrived in time.
            ExchangeError: The connection was lost before the end.
        """
        while True:
            latest = time.monotonic() + silent_s
            try:
                event, at = self._next(latest if until is None else min(latest, until))
            except SilentError as error:
                if until is not None and time.monotonic() >= until:
                    raise SilentError("the answer had no end in time") from error
                raise SilentError(f"nothing arrived for {silent_s:.1f} s") from error
            if isinstance(event, h11.Data):
                yield Piece(bytes(event.data), at)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ExchangeError("the connection was lost in the middle of the answer")

    def closes(self, *, within_s: float) -> bool:
        """Tell whether the other side closes the connection in time."""
        self._socket.settimeout(within_s)
        try:
            return not self._socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    def _send(self, request: h11.Request, body: bytes) -> None:
        parts = [self._http.send(request)]
        if body:
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self._socket.settimeout(_CONNECT_S)
        try:
            self._socket.sendall(b"".join(part or b"" for part in parts))
        except OSError as error:
            raise ClosedError("the connection was closed before the request was sent") from error

    def _next(self, until: float) -> tuple[object, float]:
        at = time.monotonic()
        try:
            event = self._http.next_event()
            while event is h11.NEED_DATA:
                received = self._receive(until)
                at = time.monotonic()
                self._http.receive_data(received)
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            if self._http.trailing_data[1]:
                raise ClosedError("the connection was closed before the answer was whole") from (
                    error
                )
            raise ExchangeError("what came is no HTTP answer") from error
        return event, at

    def _receive(self, until: float) -> bytes:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise SilentError("nothing more arrived in time")
        self._socket.settimeout(left_s)
        try:
            return self._socket.recv(_READ_BYTES)
        except TimeoutError as error:
            raise SilentError("nothing more arrived in time") from error
        except OSError:
            return b""


def _connected(scheme: str, host: str, port: int | None) -> socket.socket:
    plain = socket.create_connection((host, port or (80 if scheme == "http" else 443)), _CONNECT_S)
    # Send small requests at once.
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "http":
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
