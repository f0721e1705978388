"""A proxy in front of the stack that spoils its answers, as a broken deployment would."""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.http_server import served

CHUNK_BYTES = 65_536
TIMEOUT_S = 60


@dataclass(frozen=True)
class Asked:
    """A request on its way to the stack."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Spoilt:
    """An answer on its way back; `ends` says whether its end is handed on too."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterable[bytes]
    ends: bool = True

    @property
    def streams(self) -> bool:
        return any(value.startswith("text/event-stream") for _, value in self.headers)

    def without(self, *names: str) -> "Spoilt":
        """Drop headers."""
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        return replace(self, headers=kept)


SILENCE = Spoilt(0, [], ())
"""No answer at all, for as long as the one who asked waits."""

Forward = Callable[[Asked], Spoilt]
Spoil = Callable[[Asked, Forward], Spoilt]
"""Answers a request; `forward` asks the stack, and its answer is read as it comes."""


def _forward(upstream: str, connections: ExitStack, asked: Asked) -> Spoilt:
    host = urlsplit(upstream).netloc
    connection = HTTPConnection(host, timeout=TIMEOUT_S)
    connections.callback(connection.close)
    sent = {**asked.headers, "host": host, "connection": "close"}
    connection.request(asked.method, asked.path, asked.body or None, sent)
    answer = connection.getresponse()
    fields = [(k, v) for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP]
    return Spoilt(answer.status, fields, iter(partial(answer.read1, CHUNK_BYTES), b""))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        assert isinstance(self.server, _Server)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        try:
            with ExitStack() as connections:
                forward = partial(_forward, self.server.upstream, connections)
                asked = Asked(self.command, self.path, headers, body)
                self._answer(self.server.spoil(asked, forward))
        except OSError:
            # The one who asked has hung up.
            self.close_connection = True

    def _answer(self, answer: Spoilt) -> None:
        if answer == SILENCE:
            self._say_nothing_more()
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status == 204
        if not bodiless:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not bodiless:
            for piece in filter(None, answer.body):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
        if not answer.ends:
            self._say_nothing_more()
        elif not bodiless:
            self.wfile.write(b"0\r\n\r\n")

    def _say_nothing_more(self) -> None:
        """Keep the connection open, deaf to further requests, until the other side has had it."""
        self.connection.settimeout(TIMEOUT_S)
        while self.connection.recv(CHUNK_BYTES):
            pass
        self.close_connection = True

    # The names that http.server looks for.
    do_GET = do_POST = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


class _Server(ThreadingHTTPServer):
    upstream: str
    spoil: Spoil

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Say nothing: what a test breaks is the test's to tell."""


@contextmanager
def spoiling_proxy(upstream: str, spoil: Spoil) -> Iterator[str]:
    """Serve on a free port of this machine; yield the base URL."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstream, server.spoil = upstream, spoil
    with served(server) as url:
        yield url
