"""One invocation: the event on its way in, the response on its way out."""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MAX_PAYLOAD_BYTES = 6_291_556
"""The largest event, and the largest buffered response: Lambda's 6 MB, as its errors put it."""
TRUNCATED = "Runtime.TruncatedResponse"
"""The error of a response that broke off, as when its process is killed."""

_HIGH_WATER_BYTES = 256 * 1024


def to_event(document: Mapping[str, Any]) -> bytes:
    """Write an event as JSON; in UTF-8, since its size counts."""
    return json.dumps(document, ensure_ascii=False).encode()


class FunctionError(Exception):
    """
    The function did not answer: it raised, crashed, timed out or could not start.

    `error_type` is what Lambda would report: `Sandbox.Timedout`, `Runtime.ExitError`, an
    exception's name. `payload` is the JSON that a direct caller of the function gets.
    """

    def __init__(self, error_type: str, message: str, payload: bytes | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message
        document = {"errorType": error_type, "errorMessage": message}
        self.payload = json.dumps(document).encode() if payload is None else payload


@dataclass(frozen=True)
class ResponseHead:
    """What the runtime says before the first byte of a response."""

    streaming: bool
    content_type: str


class Invoker(Protocol):
    """Something that can be invoked: a function's pool."""

    def invoke(self, event: bytes, *, trace_id: str | None = None) -> "Invocation":
        """Hand in an event; the invocation tells what becomes of it."""
        ...


class Invocation:
    """
    An event and the response to it, handed over piece by piece as the pieces arrive.

    The Runtime API writes (`begin`, `write`, `end`, `fail`), a door reads (`head`, `body`). A slow
    reader makes the writer wait, as on Lambda; a reader that is gone (`abandon`) does not.
    """

    def __init__(self, event: bytes, *, trace_id: str | None = None) -> None:
        self.request_id = str(uuid.uuid4())
        self.event = event
        self.trace_id = (
            trace_id or f"Root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]};Sampled=0"
        )
        self.deadline_ms = 0
        self.run_id: str | None = None
        self._head: ResponseHead | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._ended = False
        self._abandoned = False
        self._error: FunctionError | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    @property
    def error(self) -> FunctionError | None:
        """How the function has failed, if it has."""
        return self._error

    @property
    def begun(self) -> bool:
        """Whether a response has begun or the invocation is over."""
        return self._head is not None or self._ended

    def begin(self, head: ResponseHead) -> None:
        """Start the response."""
        self._head = head
        self._readable.set()

    async def write(self, chunk: bytes) -> None:
        """Hand on the next bytes; waits while the reader is far behind."""
        if self._abandoned or self._ended:
            return
        self._chunks.append(chunk)
        self._buffered_bytes += len(chunk)
        self._readable.set()
        while self._buffered_bytes > _HIGH_WATER_BYTES and not (self._abandoned or self._ended):
            self._writable.clear()
            await self._writable.wait()

    def end(self) -> None:
        """Complete the response; nothing to do for an invocation that is over."""
        self._ended = True
        self._readable.set()
        self._writable.set()

    def fail(self, error: FunctionError) -> None:
        """End the invocation with an error; nothing to do for one that is over."""
        if not self._ended:
            self._error = error
            self.end()

    def abandon(self) -> None:
        """Say that nobody reads any more; the function runs on and its bytes are dropped."""
        self._abandoned = True
        self._chunks.clear()
        self._buffered_bytes = 0
        self._writable.set()

    async def head(self) -> ResponseHead:
        """
        Wait until the response begins.

        Raises:
            FunctionError: The function failed before that.
        """
        while self._head is None:
            if self._error is not None:
                raise self._error
            self._readable.clear()
            await self._readable.wait()
        return self._head

    async def body(self) -> AsyncIterator[bytes]:
        """
        Yield the bytes as they arrive, to the end.

        Raises:
            FunctionError: The function failed in the middle of its response.
        """
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._buffered_bytes -= len(chunk)
                self._writable.set()
                yield chunk
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            self._readable.clear()
            await self._readable.wait()

    async def payload(self) -> bytes:
        """
        Wait for the whole response.

        Raises:
            FunctionError: The function failed.
        """
        await self.head()
        return b"".join([chunk async for chunk in self.body()])
