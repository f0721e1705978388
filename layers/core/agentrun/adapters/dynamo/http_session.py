"""The HTTP session under the DynamoDB client: kept connections, one message, one answer."""

import socket
import ssl
import threading
import weakref
from collections import deque
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

from agentrun.adapters.dynamo.http_answer import Answer, NotHttpError

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
