"""Posts to receivers: checked addresses only, no redirects, one time limit for all of it."""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from threading import Timer
from typing import Any

from botocore.httpsession import get_cert_path

from agentrun.adapters.webhooks.public_hosts import PublicHosts, Target
from agentrun.domain.ports.webhooks import WebhookFailedError
from agentrun.domain.public_urls import UnusableUrlError

TRY_TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 64 * 1024
"""How much of an answer is read; nobody needs what is behind it."""
MOST_ADDRESSES = 3
"""To how many of a host's addresses a connection is tried."""
_GONE = 410
_PIECE_BYTES = 16 * 1024


class HttpWebhookSender:
    """
    Implements the port `WebhookSender`.

    At each try the URL's name is looked up once, all its addresses are checked, and the connection
    goes to one of them, so that a name server cannot answer the check and the connection
    differently. No proxy, cookie or credential is used.

    Args:
        hosts: Decides where a URL may lead.
        timeout_s: For a whole try, from the look-up of the name to the end of the answer.
        tls: How to speak TLS; by default with the authorities that botocore ships.
    """

    def __init__(
        self,
        hosts: PublicHosts,
        *,
        timeout_s: float = TRY_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._tls = tls or ssl.create_default_context(cafile=get_cert_path(True))

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Post a body; see the port."""
        deadline = _Deadline(self._timeout_s)
        try:
            target = self._hosts.target(url, timeout_s=deadline.left_s())
            with deadline.cutting(self._connected(target, deadline)) as sock:
                status = _exchange(sock, target, headers, body)
            # A cut connection may look like one that has ended.
            deadline.left_s()
        except UnusableUrlError as error:
            raise WebhookFailedError(f"the URL {error}") from error
        except (OSError, HTTPException, ValueError) as error:
            if deadline.is_over or isinstance(error, TimeoutError):
                raise WebhookFailedError(f"no answer within {self._timeout_s:g} s") from error
            # Of others' texts only the kind: some quote the answer.
            raise WebhookFailedError(f"the exchange failed: {type(error).__name__}") from error
        if not 200 <= status < 300:
            raise WebhookFailedError(f"answered {status}", is_final=status == _GONE)

    def _connected(self, target: Target, deadline: "_Deadline") -> socket.socket:
        """Connect to the first of the addresses that can be reached; TLS is still to be spoken."""
        addresses = target.addresses[:MOST_ADDRESSES]
        for place, address in enumerate(addresses, start=1):
            # One that does not answer leaves the others their time.
            share_s = deadline.left_s() / (len(addresses) - place + 1)
            try:
                sock = socket.create_connection((address, target.port), share_s)
            except OSError:
                if place == len(addresses):
                    raise
            else:
                return self._prepared(sock, target)
        raise OSError("there is no address")

    def _prepared(self, sock: socket.socket, target: Target) -> socket.socket:
        if not target.is_tls:
            return sock
        try:
            return self._tls.wrap_socket(
                sock, server_hostname=target.host, do_handshake_on_connect=False
            )
        except BaseException:
            sock.close()
            raise


class _Deadline:
    """
    When a try ends, whatever the other side does.

    A socket's own time-out begins anew with every byte.
    """

    def __init__(self, timeout_s: float) -> None:
        self._end_s = time.monotonic() + timeout_s

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end_s

    def left_s(self) -> float:
        """
        Return the seconds that are left.

        Raises:
            TimeoutError: There are none.
        """
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    @contextmanager
    def cutting(self, sock: socket.socket) -> Iterator[socket.socket]:
        """Close a socket at the end of the block, and cut it at the deadline."""
        with sock:
            left_s = self.left_s()
            sock.settimeout(left_s)
            # The plain socket's method: TLS's would change an object that another thread reads by.
            watchdog = Timer(left_s, _cut, (sock,))
            watchdog.daemon = True
            watchdog.start()
            try:
                yield sock
            finally:
                watchdog.cancel()


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Answer(HTTPResponse):
    """An answer whose head has an end: http.client takes that of the connection for one."""

    def begin(self) -> None:
        """Read the head."""
        plain: Any = self.fp
        self.fp = _Unending(plain)  # type: ignore[assignment] # it has all that is used of a file
        try:
            super().begin()
        finally:
            # Without a body, the file is closed by now.
            self.fp = plain if self.fp is not None else self.fp


class _Unending:
    """A file whose end comes too early wherever a line is read."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readline(self, *limit: int) -> bytes:
        line: bytes = self._file.readline(*limit)
        if not line:
            raise IncompleteRead(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _exchange(sock: socket.socket, target: Target, headers: Mapping[str, str], body: bytes) -> int:
    """Send the request, read the answer to its end, and return its status."""
    if isinstance(sock, ssl.SSLSocket):
        sock.do_handshake()
    connection = HTTPConnection(target.host, target.port)
    connection.response_class = _Answer
    connection.sock = sock
    own = {
        "Host": target.host_header,
        "Content-Type": "application/json",
        "User-Agent": "agentrun",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    connection.request("POST", target.path, body, {**own, **headers})
    with connection.getresponse() as answer:
        read_bytes = 0
        while read_bytes < MOST_ANSWER_BYTES:
            piece = answer.read(_PIECE_BYTES)
            read_bytes += len(piece)
            if not piece:
                # Python does not mind a body that ends before its Content-Length.
                if answer.length:
                    raise IncompleteRead(b"", answer.length)
                break
        return answer.status
