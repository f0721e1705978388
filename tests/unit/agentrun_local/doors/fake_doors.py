"""What the tests of the doors share: functions without a process, a client without a socket."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from agentrun_local.doors.prelude import CONTENT_TYPE, DELIMITER
from agentrun_local.functions.invocation import FunctionError, Invocation, ResponseHead

Function = Callable[[dict[str, Any]], Any]


class InProcessFunction:
    """Answers at once with what the callable returns, as a buffered runtime would."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.events: list[dict[str, Any]] = []

    def invoke(self, event: bytes, *, trace_id: str | None = None) -> Invocation:
        """Run the callable."""
        invocation = Invocation(event, trace_id=trace_id)
        document = json.loads(event)
        self.events.append(document)
        try:
            result = self.function(document)
        except FunctionError as error:
            invocation.fail(error)
        else:
            fill(invocation, "application/json", json.dumps(result).encode(), streaming=False)
        return invocation


class StreamingFunction:
    """Answers with the bytes it is made with, as a streamed response."""

    def __init__(self, *chunks: bytes, content_type: str = CONTENT_TYPE) -> None:
        self.chunks = chunks
        self.content_type = content_type

    def invoke(self, event: bytes, *, trace_id: str | None = None) -> Invocation:
        """Return all chunks."""
        invocation = Invocation(event, trace_id=trace_id)
        fill(invocation, self.content_type, *self.chunks, streaming=True)
        return invocation


class SilentFunction:
    """Never answers."""

    def __init__(self) -> None:
        self.invocation: Invocation | None = None

    def invoke(self, event: bytes, *, trace_id: str | None = None) -> Invocation:
        """Keep the invocation."""
        self.invocation = Invocation(event, trace_id=trace_id)
        return self.invocation


def fill(invocation: Invocation, content_type: str, *chunks: bytes, streaming: bool) -> None:
    """Write a whole response without waiting for a reader."""
    invocation.begin(ResponseHead(streaming, content_type))
    for chunk in chunks:
        # Small chunks only: a write that must wait would be lost here.
        coroutine = invocation.write(chunk)
        try:
            coroutine.send(None)
        except StopIteration:
            continue
        raise RuntimeError("the chunks are too large for this function")
    invocation.end()


def prelude(**document: Any) -> bytes:
    """Return the bytes of a prelude."""
    return json.dumps(document).encode() + DELIMITER


def client_of(door: Any) -> httpx.AsyncClient:
    """Make a client that calls a door without a socket; it sees whole bodies only."""
    transport = httpx.ASGITransport(app=door)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
