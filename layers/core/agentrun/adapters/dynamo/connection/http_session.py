"""
The HTTP session under the DynamoDB client: kept connections, one message, one answer.

Answers are read without http.client and its e-mail parser.
"""

import re
import socket
import ssl
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import create_urllib3_context, get_cert_path
from urllib3.util import wait_for_read

MAX_HEAD_BYTES = 64 * 1024
_RECEIVED_BYTES = 128 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,7})[ \t]*(?:;[^\r\n]*)?")
_LENGTH = re.compile(r"[0-9]{1,9}")
_UNUSUAL = frozenset({"accept-encoding", "transfer-encoding", "expect"})


class LightSession:
    """
    Stands in for botocore's HTTP session, with its exceptions and time-outs.

    A request is sent once: a kept connection that was closed meanwhile is replaced before anything
    is sent, and what fails later is left to botocore's retries.
    """

    def __init__(self, usual: Any, config: Any) -> None:
        """
        Stand in for a session.

        Args:
            usual: The session of botocore. It sends what this one does not, such as streams.
            config: The client's.
        """
        self._usual = usual
        self._config = config
        self._places: dict[str, _Place] = {}
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = threading.Lock()
        weakref.finalize(self, _close, self._places)

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """
        Send a request and return its answer, read to its end.

        Raises:
            EndpointConnectionError: Nothing listens, or the host is unknown.
            ConnectTimeoutError: It was not connected in time.
            ReadTimeoutError: The other end fell silent.
            ConnectionClosedError: It closed the connection, or its answer was not HTTP.
            SSLError: TLS failed.
        """
        url = str(request.url)
        place = self._places.get(url) or self._places.setdefault(url, _place(url))
        message = _message(request, place)
        if message is None:
            answer: AWSResponse = self._usual.send(request)
            return answer
        sock = place.kept()
        is_new = sock is None
        # Not inside of the block: some of botocore's exceptions are OSErrors.
        sock = sock or self._connect(place, url)
        try:
            sock = self._ready(sock, place) if is_new else sock
            return self._exchange(sock, message, place, url)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=url, error=error) from error
        except (OSError, NotHttpError) as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=url) from error

    def close(self) -> None:
        """Close the connections that no request is using. The next request opens one."""
        _close(self._places)
        self._usual.close()

    def _exchange(
        self, sock: socket.socket, message: bytes, place: "_Place", url: str
    ) -> AWSResponse:
        answer = Answer(sock)
        try:
            _send(sock, message)
            answer.read()
        except BaseException:
            # The rest of this answer must never be read as the next one.
            sock.close()
            raise
        if answer.keeps_open and len(place.idle) < self._config.max_pool_connections:
            place.idle.append(sock)
        else:
            sock.close()
        headers: Any = answer.headers
        return AWSResponse(url, answer.status, headers, answer)

    def _connect(self, place: "_Place", url: str) -> socket.socket:
        try:
            return socket.create_connection((place.host, place.port), self._config.connect_timeout)
        except TimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error

    def _ready(self, sock: socket.socket, place: "_Place") -> socket.socket:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._config.tcp_keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if place.is_tls:
                sock = self._tls_context().wrap_socket(sock, server_hostname=place.host)
            sock.settimeout(self._config.read_timeout)
        except BaseException:
            sock.close()
            raise
        return sock

    def _tls_context(self) -> ssl.SSLContext:
        """Return a context as botocore's own, which loads its authorities once."""
        with self._tls_lock:
            if self._tls is None:
                context: ssl.SSLContext = create_urllib3_context()
                # Where AWS_CA_BUNDLE and the profile's setting end up.
                verify = self._usual._verify  # noqa: SLF001
                if verify:
                    context.check_hostname = True
                    context.load_verify_locations(get_cert_path(verify))
                else:
                    context.verify_mode = ssl.CERT_NONE
                context.set_alpn_protocols(["http/1.1"])
                self._tls = context
            return self._tls


class _Place(NamedTuple):
    """Where the requests to one URL go, and the connections that are kept to it."""

    host: str
    port: int
    is_tls: bool
    target: bytes
    host_header: bytes
    idle: deque[socket.socket]

    def kept(self) -> socket.socket | None:
        """Take the connection used last; drop those that were closed at the other end."""
        while self.idle:
            try:
                sock = self.idle.pop()
            except IndexError:
                break
            # Nothing was asked, so what can be read is the end, or an answer to nothing.
            if not wait_for_read(sock, timeout=0):
                return sock
            sock.close()
        return None


def _place(url: str) -> _Place:
    parts = urlsplit(url)
    host, usual_port = parts.hostname or "", 443 if parts.scheme == "https" else 80
    port = parts.port or usual_port
    name = (f"[{host}]" if ":" in host else host) + (f":{port}" if port != usual_port else "")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(
        host,
        port,
        parts.scheme == "https",
        target.encode(),
        f"Host: {name}\r\n".encode(),
        deque(),
    )


def _close(places: dict[str, _Place]) -> None:
    for place in list(places.values()):
        while (sock := place.kept()) is not None:
            sock.close()


def _message(request: AWSPreparedRequest, place: _Place) -> bytes | None:
    """Write a request as http.client does; None for one that only botocore's session can send."""
    body: object = request.body
    if request.method != "POST" or not isinstance(body, bytes) or request.stream_output:
        return None
    context: Any = getattr(request, "context", None) or {}
    if context.get("read_timeout") is not None:
        return None
    headers: Any = request.headers
    # awscrt's signer has added it already.
    host = b"" if "Host" in headers else place.host_header
    lines = [b"POST %b HTTP/1.1\r\n%bAccept-Encoding: identity\r\n" % (place.target, host)]
    for name, value in headers.items():
        if name.lower() in _UNUSUAL:
            return None
        text = value if isinstance(value, bytes) else str(value).encode()
        lines.append(b"%b: %b\r\n" % (name.encode(), text))
    head, breaks = b"".join(lines), len(lines) + (2 if host else 1)
    # A line break inside a value would begin another header.
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        return None
    return b"%b\r\n%b" % (head, body)


def _send(sock: socket.socket, message: bytes) -> None:
    try:
        sock.sendall(message)
    except BrokenPipeError:
        # Its answer, if there is one, says why.
        pass
    except TimeoutError as error:
        raise NotHttpError("The request was not taken in time.") from error


class NotHttpError(Exception):
    """An answer that is cut short or does not follow HTTP/1.1."""


class Answer:
    """One answer, also as the stream that botocore reads a body from."""

    status = 0
    body = b""
    keeps_open = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self.headers: dict[str, str] = {}

    def stream(self) -> Iterator[bytes]:
        """Return the body in one piece."""
        return iter((self.body,))

    def read(self) -> None:
        """Read the head, after those of 1xx, and the body."""
        while self.status < 200:
            self._read_head()
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise NotHttpError("The length is ambiguous.")
            self.body = b"".join(self._chunks())
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise NotHttpError("The length is no number.")
            self.body = self._exactly(int(length))
        elif self.status not in {204, 304}:
            self.keeps_open = False
            self.body = b"".join(self._rest())
        # What follows an answer belongs to no request.
        self.keeps_open = self.keeps_open and not self._buffer

    def _read_head(self) -> None:
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        if (status := _STATUS_LINE.fullmatch(first)) is None:
            raise NotHttpError("There is no status line.")
        self.status, self.headers = int(status[2]), {}
        for line in lines:
            before, colon, after = line.partition(b":")
            if not (colon and _NAME.fullmatch(before)) or b"\n" in after or b"\r" in after:
                raise NotHttpError("A header is malformed.")
            name, value = before.decode().lower(), after.strip(b" \t").decode("latin-1")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        options = self.headers.get("connection", "").lower()
        self.keeps_open = status[1] == b"1" and "close" not in options

    def _chunks(self) -> Iterator[bytes]:
        while True:
            if (size := _CHUNK_SIZE.fullmatch(self._until(b"\r\n"))) is None:
                raise NotHttpError("A chunk's size is malformed.")
            if (length := int(size[1], 16)) == 0:
                break
            yield self._exactly(length)
            if self._exactly(2) != b"\r\n":
                raise NotHttpError("A chunk is longer than its size.")
        while self._until(b"\r\n"):
            pass

    def _rest(self) -> Iterator[bytes]:
        yield self._buffer
        self._buffer = b""
        while received := self._sock.recv(_RECEIVED_BYTES):
            yield received

    def _until(self, end: bytes) -> bytes:
        """Read to a mark, and past it."""
        while (at := self._buffer.find(end)) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise NotHttpError("The head has no end.")
            self._buffer += self._more(_RECEIVED_BYTES)
        found, self._buffer = self._buffer[:at], self._buffer[at + len(end) :]
        return found

    def _exactly(self, length: int) -> bytes:
        parts, missing = [self._buffer[:length]], length - len(self._buffer)
        self._buffer = self._buffer[length:]
        while missing > 0:
            parts.append(self._more(min(missing, _RECEIVED_BYTES)))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _more(self, at_most: int) -> bytes:
        received = self._sock.recv(at_most)
        if not received:
            raise NotHttpError("The connection ended before the answer did.")
        return received
