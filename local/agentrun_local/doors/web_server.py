"""An HTTP server on loopback for one door."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn

from agentrun_local.doors.http_messages import Receive, Scope, Send, StreamBrokenError
from agentrun_local.errors import LocalStackError

FIRST_PORT = 8000
PORT_STEP = 10
PAIRS = 10
_GRACE_S = 1
Door = Callable[[Scope, Receive, Send], Awaitable[None]]


def listen(port: int) -> socket.socket:
    """
    Take a port on 127.0.0.1; 0 takes any free one.

    Raises:
        LocalStackError: Somebody else has it.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=512)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LocalStackError(
            f"Port {port} cannot be used ({reason}); take another with --port or --url-port."
        ) from error
    # What is accepted inherits it. asyncio sets it on sockets whose protocol it has named itself,
    # which `create_server` leaves at 0: an answer's body would wait 40 ms for its head's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def listen_at(port: int | None, url_port: int | None) -> tuple[socket.socket, socket.socket]:
    """
    Take the two doors' ports: the chosen ones, or the first pair that is free.

    Pairs are 8000 and 8001, 8010 and 8011 and so on, so that stacks side by side do not mix.

    Raises:
        LocalStackError: A chosen port is taken, or all pairs are.
    """
    if port is not None or url_port is not None:
        first = FIRST_PORT if port is None else port
        # 0 is any free port, and so is the one after it.
        second = (first and first + 1) if url_port is None else url_port
        return _both(first, second)
    last = FIRST_PORT + PORT_STEP * (PAIRS - 1)
    for candidate in range(FIRST_PORT, last, PORT_STEP):
        with contextlib.suppress(LocalStackError):
            return _both(candidate, candidate + 1)
    return _both(last, last + 1)


def _both(port: int, url_port: int) -> tuple[socket.socket, socket.socket]:
    rest_api = listen(port)
    try:
        return rest_api, listen(url_port)
    except LocalStackError:
        rest_api.close()
        raise


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(door: Door, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the door while the context lasts; open connections are cut 1 s after its end."""
    config = uvicorn.Config(
        door,
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        # A browser or a load test keeps its connections; uvicorn's 5 s would race with them.
        timeout_keep_alive=60,
        timeout_graceful_shutdown=_GRACE_S,
        ws="none",
    )
    logging.getLogger("uvicorn.error").addFilter(_unexpected)
    server = _Server(config)
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


class _Server(uvicorn.Server):
    """Leaves the signals to the stack, which has more than one server to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _unexpected(record: logging.LogRecord) -> bool:
    # Raising is how a door has uvicorn cut a connection; the door has logged why.
    return not (record.exc_info and isinstance(record.exc_info[1], StreamBrokenError))
