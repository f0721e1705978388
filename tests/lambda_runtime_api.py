"""A scripted Lambda Runtime API that records every byte."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11

TIMEOUT_S = 15


@dataclass
class Call:
    """One request to the Runtime API; `chunks` are those of the wire."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytearray
    connection: int
    chunks: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    complete: bool = False

    @property
    def payload(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def prelude(self) -> dict[str, Any]:
        prelude: dict[str, Any] = json.loads(self.payload.split(bytes(8), 1)[0])
        return prelude

    @property
    def body(self) -> bytes:
        return self.payload.split(bytes(8), 1)[1]

    @property
    def trailer_report(self) -> dict[str, Any]:
        encoded = self.trailers["lambda-runtime-function-error-body"]
        report: dict[str, Any] = json.loads(base64.b64decode(encoded))
        return report


class ScriptedRuntimeApi:
    """
    Hands out the events put in with `invoke`, one to each `/next`, and records what comes back.

    `break_next_poll` does so when the next `/next` has come in;
    `polls_given_up` counts the connections closed while they waited for an event;
    `break_next_response` drops the connection at the first byte of the next response's body;
    `response_status` is the answer to every POST.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.break_next_response = False
        self.break_next_poll = False
        self.response_status = 202
        self._events: asyncio.Queue[tuple[bytes, list[tuple[str, str]]]] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._ids = 0
        self._accepted = 0
        self.polls_given_up = 0

    async def __aenter__(self) -> "ScriptedRuntimeApi":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def address(self) -> str:
        if self._server is None:
            raise RuntimeError("not started")
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def invoke(self, event: object, timeout_s: float = 60, **headers: str) -> str:
        """Queue an event; returns its request id."""
        self._ids += 1
        request_id = f"request-{self._ids}"
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        fields = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:1:function:stream",
            "Lambda-Runtime-Trace-Id": f"Root=1-{self._ids}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        self._events.put_nowait((body, list(fields.items())))
        return request_id

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something has come in."""
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(condition)

    def connections_of(self, path_end: str) -> set[int]:
        """Return which connections have carried calls to a path."""
        return {call.connection for call in self.calls if call.path.endswith(path_end)}

    def find(self, path_end: str) -> Call | None:
        return next((call for call in self.calls if call.path.endswith(path_end)), None)

    async def call(self, path_end: str) -> Call:
        """Wait for a call to begin."""
        await self.until(lambda: self.find(path_end) is not None)
        call = self.find(path_end)
        if call is None:
            raise LookupError(path_end)
        return call

    async def complete_call(self, path_end: str) -> Call:
        """Wait for a call to be received to its end."""
        call = await self.call(path_end)
        await self.until(lambda: call.complete)
        return call

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        except asyncio.CancelledError:
            return
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        raw = bytearray()
        call: Call | None = None
        self._accepted = number = self._accepted + 1
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                raw += data
                http.receive_data(data)
            elif isinstance(event, h11.Request):
                call = _call(event, raw, number)
                self.calls.append(call)
                await self._notify()
                if self._breaks_poll(call):
                    return
            elif isinstance(event, h11.Data) and call is not None:
                if self._breaks_response(call):
                    return
                _record(call, event)
                await self._notify()
            elif isinstance(event, h11.EndOfMessage) and call is not None:
                _end(call, event)
                await self._notify()
                await self._answer(call, http, reader, writer)
                raw = bytearray()
                http.start_next_cycle()
            else:
                return

    def _breaks_poll(self, call: Call) -> bool:
        breaks = self.break_next_poll and call.path.endswith("/next")
        self.break_next_poll = self.break_next_poll and not breaks
        return breaks

    def _breaks_response(self, call: Call) -> bool:
        breaks = self.break_next_response and call.path.endswith("/response")
        self.break_next_response = self.break_next_response and not breaks
        return breaks

    async def _answer(
        self,
        call: Call,
        http: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        status, body, headers = self.response_status, b"", list[tuple[str, str]]()
        if call.path.endswith("/invocation/next"):
            status = 200
            body, headers = await self._next_event(reader)
        elif call.path.endswith("/restore/next"):
            status = 200
        headers.append(("Content-Length", str(len(body))))
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            writer.write(http.send(event) or b"")
        await writer.drain()

    async def _next_event(
        self, reader: asyncio.StreamReader
    ) -> tuple[bytes, list[tuple[str, str]]]:
        """Wait for an event, or for the poller to go away."""
        event = asyncio.create_task(self._events.get())
        gone = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({event, gone}, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                return event.result()
            self.polls_given_up += 1
            await self._notify()
            raise ConnectionResetError
        finally:
            event.cancel()
            gone.cancel()
            await asyncio.wait({event, gone})

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _call(event: h11.Request, raw: bytearray, connection: int) -> Call:
    headers = {k.decode(): v.decode() for k, v in event.headers}
    return Call(event.method.decode(), event.target.decode(), headers, raw, connection)


def _end(call: Call, event: h11.EndOfMessage) -> None:
    call.trailers = {k.decode(): v.decode() for k, v in event.headers}
    call.complete = True


def _record(call: Call, event: h11.Data) -> None:
    if event.chunk_start or not call.chunks:
        call.chunks.append(b"")
    call.chunks[-1] += bytes(event.data)
