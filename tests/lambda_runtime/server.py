"""The server: it hands out events, and passes on to a recorder what comes back."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Protocol, Self

_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Head:
    """The first line of a request; `raw` is the whole head, with the empty line that ends it."""

    method: str
    path: str
    raw: bytes
    connection: int


class Recorder(Protocol):
    """Takes the body of one request."""

    @property
    def ended(self) -> bool:
        """Whether the body is complete, so that the request is to be answered."""

    def add(self, data: bytes) -> None:
        """Take what was just read."""

    def break_off(self, reason: str) -> None:
        """Take note that the connection is gone; it may have ended before."""


class RuntimeApi(ABC):
    """
    The Runtime API of one execution environment, on a free port of the loopback interface.

    It does next to nothing while a body comes in, so that a benchmark may use it. A subclass says
    what records a request. `response_status` is the answer to every POST; `break_next_poll` drops
    the connection of the next `/next`, `break_next_response` that of the next response at the
    first byte of its body; `polls_given_up` counts those closed while they waited for an event.
    """

    def __init__(self) -> None:
        self.response_status = 202
        self.break_next_poll = False
        self.break_next_response = False
        self.polls_given_up = 0
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._accepted, self._invoked = count(1), count(1)
        self._events: deque[bytes] = deque()
        self._polls: deque[Connection] = deque()

    @abstractmethod
    def record(self, head: Head) -> Recorder:
        """Make the recorder of a request that has begun."""

    def changed(self) -> None:  # noqa: B027 # who only records has nobody to tell
        """Learn that something has come in, or that a poll was given up."""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.abort()
        # The transports close in the loop's next round.
        await asyncio.sleep(0)

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API."""
        if self._server is None:
            raise RuntimeError("not listening")
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def invoke(self, event: object, timeout_s: float = 60, **headers: str) -> str:
        """Hand an event to the next poll; return its request id."""
        number = next(self._invoked)
        fields = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": f"request-{number}",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:1:function:stream",
            "Lambda-Runtime-Trace-Id": f"Root=1-{number}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self._events.append(_answer(200, body, fields))
        self._match()
        return fields["Lambda-Runtime-Aws-Request-Id"]

    def opened(self, connection: "Connection") -> int:
        """Number a new connection."""
        self._connections.add(connection)
        return next(self._accepted)

    def answer(self, head: Head, connection: "Connection") -> None:
        """Answer a request that is complete: a poll, as soon as there is an event for it."""
        if head.path.endswith("/invocation/next"):
            self._polls.append(connection)
            self._match()
        else:
            is_restored = head.path.endswith("/restore/next")
            connection.write(_answer(200 if is_restored else self.response_status))

    def closed(self, connection: "Connection") -> None:
        """Forget a connection, and the poll that waits on it."""
        self._connections.discard(connection)
        if connection in self._polls:
            self._polls.remove(connection)
            self.polls_given_up += 1
            self.changed()

    def breaks(self, what: str) -> bool:
        """Tell once whether the next `poll` or `response` is to be broken."""
        is_to_break: bool = getattr(self, f"break_next_{what}")
        setattr(self, f"break_next_{what}", False)
        return is_to_break

    def _match(self) -> None:
        while self._events and self._polls:
            self._polls.popleft().write(self._events.popleft())


def _answer(status: int, body: bytes = b"", fields: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    return "\r\n".join((*lines, "\r\n")).encode() + body


class Connection(asyncio.Protocol):
    """One connection, and the request that is coming in on it."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._start = b""
        self._head: Head | None = None
        self._recorder: Recorder | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._number = self._api.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._recorder is not None:
            self._record(data)
            return
        self._start += data
        first, found, rest = self._start.partition(_END_OF_HEAD)
        if not found:
            return
        self._start = b""
        method, path, _ = first.split(b"\r\n", 1)[0].decode().split(" ")
        self._head = Head(method, path, first + found, self._number)
        self._recorder = self._api.record(self._head)
        self._api.changed()
        if path.endswith("/next") and self._api.breaks("poll"):
            self.abort()
        elif rest or self._recorder.ended:
            self._record(rest)

    def _record(self, data: bytes) -> None:
        assert self._head is not None
        assert self._recorder is not None
        if self._api.break_next_response and self._head.path.endswith("/response"):
            self._api.breaks("response")
            self.abort()
            return
        self._recorder.add(data)
        self._api.changed()
        if self._recorder.ended:
            self._recorder = None
            self._api.answer(self._head, self)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.closed(self)
        if self._recorder is not None:
            self._recorder.break_off(f"connection lost ({exc})")
