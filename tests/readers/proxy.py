"""A proxy between a reader and the stack that cuts streams, spoils tokens and takes notes."""

import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.http_server import served

CHUNK_BYTES = 65_536
TIMEOUT_S = 60

Cut = Literal["broken", "clean"]
"""How a stream ends in mid-event: its connection is lost, or its answer is ended properly."""


@dataclass(frozen=True)
class Fault:
    """What happens to one request of a reader's."""

    cut: Cut | None = None
    after_events: int = 0
    loses_end: bool = False
    """After the last event the connection is lost: the reader cannot know that it was the last."""
    spoils_token: bool = False


@dataclass(eq=False)
class Exchange:
    """One request of a reader's and what it was answered."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0


class Blocks:
    """Cuts a body into blocks, each with its blank line, and the comments between them."""

    def __init__(self) -> None:
        self._block = b""
        self._line = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Return what is whole by now: a block, or a comment's line outside of one."""
        for line in (self._line + data).splitlines(keepends=True):
            self._line = b"" if line.endswith(b"\n") else line
            if self._line:
                continue
            if line.startswith(b":") and not self._block:
                yield line
                continue
            self._block += line
            if line == b"\n":
                yield self._block
                self._block = b""


@dataclass
class Proxy:
    """Serves one reader; `faults` are those of its first request, its second and so on."""

    upstream: str
    faults: Sequence[Fault]
    sent: Callable[[int, str], None]
    """Called with a request's number and the id of an event sent; the next leaves afterwards."""
    answered: Callable[[Sequence[Exchange]], None]
    """Called after every answer, with all exchanges so far."""
    exchanges: list[Exchange] = field(default_factory=list)
    url: str = ""

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request as the stack does, its fault excepted."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        number = len(self.exchanges)
        fault = self.faults[number] if number < len(self.faults) else Fault()
        exchange = Exchange(request.command, request.path, headers)
        self.exchanges.append(exchange)
        body = request.rfile.read(int(headers.get("content-length", 0)))
        sent = {**headers, "host": urlsplit(self.upstream).netloc, "connection": "close"}
        if fault.spoils_token:
            sent["authorization"] += "x"
        connection = HTTPConnection(urlsplit(self.upstream).netloc, timeout=TIMEOUT_S)
        connection.request(request.command, request.path, body or None, sent)
        try:
            self._answer(request, connection.getresponse(), exchange, fault)
        except OSError:
            pass  # The reader has closed its end.
        finally:
            connection.close()
            self.answered(self.exchanges)

    def _answer(
        self,
        request: BaseHTTPRequestHandler,
        answer: HTTPResponse,
        exchange: Exchange,
        fault: Fault,
    ) -> None:
        exchange.status = answer.status
        request.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                request.send_header(name, value)
        if answer.getheader("content-type", "").startswith("text/event-stream"):
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            self._stream(request, answer, exchange, fault)
            return
        body = answer.read()
        if answer.status != 204:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _stream(
        self,
        request: BaseHTTPRequestHandler,
        answer: HTTPResponse,
        exchange: Exchange,
        fault: Fault,
    ) -> None:
        number = self.exchanges.index(exchange)
        blocks = Blocks()
        while data := answer.read1(CHUNK_BYTES):
            for piece in blocks.feed(data):
                exchange.pings += piece.startswith(b":")
                if b"data: " not in piece:
                    _send(request, piece)
                    continue
                if fault.cut and len(exchange.events) == fault.after_events:
                    _cut(request, piece, fault.cut)
                    return
                _send(request, piece)
                exchange.events.append(_event(piece))
                self.sent(number, exchange.events[-1]["id"])
        if fault.loses_end:
            _hang_up(request)
        else:
            request.wfile.write(b"0\r\n\r\n")


def _event(block: bytes) -> dict[str, Any]:
    lines = dict(line.split(": ", 1) for line in block.decode().splitlines() if line)
    return {"id": lines["id"], **json.loads(lines["data"])}


def _send(request: BaseHTTPRequestHandler, piece: bytes) -> None:
    request.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    request.wfile.flush()


def _cut(request: BaseHTTPRequestHandler, block: bytes, how: Cut) -> None:
    """Send half a block, which has its id whole, and end the connection."""
    half = block[: block.index(b"data: ") + 20]
    if how == "clean":
        _send(request, half)
        request.wfile.write(b"0\r\n\r\n")
    else:
        request.wfile.write(b"%x\r\n%b" % (len(block), half))
        _hang_up(request)


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    # With `Connection: close` in the answer, Node 18 and 20 take half a body for a whole one.
    request.wfile.flush()
    request.connection.shutdown(socket.SHUT_WR)
    request.close_connection = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.proxy.serve(self)

    do_GET = do_POST = _serve  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a reader that has hung up, and all of anything else."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """Serve on a free port of this machine until the context is left."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.proxy = proxy
    with served(server) as proxy.url:
        yield proxy
