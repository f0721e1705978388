"""The part of a model provider that no provider owns: HTTP in threads, a script, and a record."""

import json
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import unquote

WAIT_S = 5.0
# How often a held answer looks whether the client is still there.
_LOOK_S = 0.01


class ClientGoneError(Exception):
    """The client has closed the connection before it had the whole answer."""


class Answer(Protocol):
    """What one request gets; `answer` writes all of it."""

    def answer(self, exchange: "Exchange") -> None: ...


@dataclass
class ModelRequest:
    """
    A request as it came in.

    `path` is URL-decoded, header names are in lower case, `body` is the parsed JSON. `closed` is
    set as soon as the server sees that the client has gone before the end of the answer, `done`
    once the server is through with the request, however that went.
    """

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    closed: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class Exchange:
    """One request and the connection that its answer is written to."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: ModelRequest) -> None:
        self.request = request
        self._handler = handler
        self._stopping = cast("_HttpServer", handler.server).stopping

    def send_json(self, status: int, body: object, headers: Mapping[str, str]) -> None:
        """Answer at once, and keep the connection."""
        content = json.dumps(body).encode()
        self._start(status, {"Content-Length": str(len(content)), **headers})
        self.send_raw(content)

    def start_stream(self, content_type: str) -> None:
        """Begin a chunked answer."""
        self._start(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})

    def send(self, content: bytes) -> None:
        """Send one chunk; raise ClientGoneError if nobody is there any more."""
        if self._client_gone():
            raise ClientGoneError
        self.send_raw(b"%x\r\n%b\r\n" % (len(content), content))

    def send_raw(self, content: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._handler.wfile.write(content)
        except OSError as error:
            raise ClientGoneError from error

    def hold(self, until: threading.Event) -> None:
        """Send nothing until then, the client goes (ClientGoneError) or the server stops."""
        while not until.wait(_LOOK_S) and not self._stopping.is_set():
            if self._client_gone():
                raise ClientGoneError

    def end_stream(self) -> None:
        """End a chunked answer properly."""
        self.send_raw(b"0\r\n\r\n")

    def cut(self) -> None:
        """Break the connection off, in the middle of whatever was being sent."""
        self._handler.close_connection = True
        self._handler.connection.shutdown(socket.SHUT_RDWR)

    def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def _client_gone(self) -> bool:
        connection = self._handler.connection
        readable, _, _ = select.select([connection], [], [], 0)
        if not readable:
            return False
        try:
            # A TLS socket cannot be peeked at; what is readable on it here is its end.
            return isinstance(connection, ssl.SSLSocket) or not connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


class ModelServer:
    """
    A running server: what it was asked, and what it is to answer.

    `script` gives the answers to the next requests, in order; `always` the answer to all that have
    none of their own, also as a function of the request. Without either, requests are refused.
    A request that breaks the provider's rules is refused in any case: `refused` says why.
    """

    def __init__(self, refusal: Answer, certificate: Path | None = None, port: int = 0) -> None:
        self.requests: list[ModelRequest] = []
        self.refused: list[str] = []
        self._script: deque[Answer] = deque()
        self._default: Callable[[ModelRequest], Answer] = lambda _: refusal
        self._changed = threading.Condition()
        self._http = _HttpServer(self, port)
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._http.server_address[1]}"

    def script(self, *answers: Answer) -> None:
        """Answer the next requests with these, one each."""
        with self._changed:
            self._script.extend(answers)

    def script_anew(self, *answers: Answer) -> None:
        """Forget what is left of the script, and answer the next requests with these."""
        with self._changed:
            self._script.clear()
            self._script.extend(answers)

    def always(self, answer: Answer | Callable[[ModelRequest], Answer]) -> None:
        """Answer every request that the script has nothing for with this."""
        with self._changed:
            self._default = answer if callable(answer) else lambda _: answer

    def faults(self, request: ModelRequest) -> list[str]:
        """Return the rules that a request breaks."""
        return []

    def refusal(self, request: ModelRequest) -> Answer:
        """Return the answer to a request that breaks rules."""
        raise NotImplementedError

    def wait_for_requests(self, count: int) -> list[ModelRequest]:
        """Block until as many requests have come in altogether; 5 s at most."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.requests) >= count, WAIT_S)
        assert arrived, f"{len(self.requests)} requests, not {count}"
        return self.requests

    def serve(self, exchange: Exchange) -> None:
        """Record a request and answer it; called in the thread of its connection."""
        request = exchange.request
        faults = self.faults(request)
        with self._changed:
            answer = self._script.popleft() if self._script and not faults else None
            default = self.refusal if faults else self._default
            self.requests.append(request)
            self.refused.extend(faults)
            self._changed.notify_all()
        try:
            (answer or default(request)).answer(exchange)
        except ClientGoneError:
            request.closed.set()
            raise
        finally:
            request.done.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve in a thread of its own; answers that are held end with it."""
        thread = threading.Thread(target=self._http.serve_forever, args=(_LOOK_S,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._http.stopping.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join(WAIT_S)

    def serve_forever(self) -> None:
        """Serve in this thread, until it is interrupted."""
        self._http.serve_forever()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    # Idle connections of a client's pool must not hold up the end.
    block_on_close = False
    request_queue_size = 128

    def __init__(self, model_server: ModelServer, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model_server = model_server
        self.stopping = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Print nothing: a connection that a test has broken off is no error."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = ModelRequest(
            path=unquote(self.path),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=json.loads(self.rfile.read(length) or b"{}", parse_constant=_refuse_constant),
        )
        try:
            cast("_HttpServer", self.server).model_server.serve(Exchange(self, request))
        except ClientGoneError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Print nothing for each request."""
