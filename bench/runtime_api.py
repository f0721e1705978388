"""A Lambda Runtime API that hands out events and records the streamed responses."""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Self

from bench.recording import Recording

_FUNCTION_TIMEOUT_S = 900
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class RuntimeApi:
    """
    The Runtime API of one execution environment, on a free port of the loopback interface.

    Does nothing but note times while bytes come in: it must not be what is measured. It knows the
    two calls that a stream needs, and takes every other one for the function's failure.
    """

    def __init__(self) -> None:
        self._events: deque[tuple[str, bytes]] = deque()
        self._polls: deque[_Connection] = deque()
        self._recordings: dict[str, Recording] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API."""
        if self._server is None:
            raise RuntimeError("not listening")
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def invoke(self, event: bytes) -> Recording:
        """Hand an event to the next poll; the response will be in the recording."""
        request_id = f"request-{len(self._recordings)}"
        self._recordings[request_id] = Recording()
        self._events.append((request_id, event))
        self._match()
        return self._recordings[request_id]

    def poll(self, connection: "_Connection") -> None:
        """Keep a poll until there is an event for it."""
        self._polls.append(connection)
        self._match()

    def give_up(self, connection: "_Connection") -> None:
        """Forget the poll of a process that has gone."""
        if connection in self._polls:
            self._polls.remove(connection)

    def recording(self, request_id: str) -> Recording:
        """Find the recording of an invocation."""
        return self._recordings[request_id]

    def fail(self, what: str) -> None:
        """End every recording that is open: the function has failed."""
        for recording in self._recordings.values():
            recording.break_off(what)

    def _match(self) -> None:
        while self._events and self._polls:
            self._polls.popleft().answer_poll(*self._events.popleft())


class _Connection(asyncio.Protocol):
    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._head = b""
        self._recording: Recording | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._recording is not None:
            self._record(data)
            return
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return
        self._head = b""
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if method == "GET":
            self._api.poll(self)
        elif path.endswith("/response"):
            self._recording = self._api.recording(path.split("/")[-2])
            if rest:
                self._record(rest)
        else:
            self._api.fail(f"{path} {rest.decode()}")
            self._write(_ACCEPTED)

    def _record(self, data: bytes) -> None:
        assert self._recording is not None
        self._recording.add(data)
        if self._recording.ended:
            self._recording = None
            self._write(_ACCEPTED)

    def answer_poll(self, request_id: str, event: bytes) -> None:
        deadline_ms = int((time.time() + _FUNCTION_TIMEOUT_S) * 1000)
        lines = (
            "HTTP/1.1 200 OK",
            "Content-Type: application/json",
            f"Content-Length: {len(event)}",
            f"Lambda-Runtime-Aws-Request-Id: {request_id}",
            f"Lambda-Runtime-Deadline-Ms: {deadline_ms}",
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:1:function:stream",
        )
        self._write("\r\n".join((*lines, "\r\n")).encode() + event)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.give_up(self)
        if self._recording is not None:
            self._recording.break_off(f"connection lost ({exc})")
