"""The Runtime API as tests use it: every byte of every call is looked at as it comes in."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import h11

from tests.lambda_runtime.server import Head, RuntimeApi

TIMEOUT_S = 60


class Call:
    """One request to the Runtime API; `chunks` are those of the wire."""

    def __init__(self, head: Head) -> None:
        self.method, self.path, self.connection = head.method, head.path, head.connection
        self.raw = bytearray()
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.trailers: dict[str, str] = {}
        self.complete = False
        self._http = h11.Connection(h11.SERVER)
        self.add(head.raw)

    @property
    def ended(self) -> bool:
        return self.complete

    def add(self, data: bytes) -> None:
        self.raw += data
        if data:
            self._http.receive_data(data)
        while not self.complete and (event := self._http.next_event()) is not h11.NEED_DATA:
            match event:
                case h11.Request():
                    self.headers = _fields(event)
                case h11.Data():
                    if event.chunk_start or not self.chunks:
                        self.chunks.append(b"")
                    self.chunks[-1] += bytes(event.data)
                case h11.EndOfMessage():
                    self.trailers, self.complete = _fields(event), True

    def break_off(self, reason: str) -> None:
        """Stay incomplete."""

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


class ScriptedRuntimeApi(RuntimeApi):
    """Keeps the calls in the order in which they began, and lets a test wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._change = asyncio.Event()

    def record(self, head: Head) -> Call:
        self.calls.append(Call(head))
        return self.calls[-1]

    def changed(self) -> None:
        self._change.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something has come in."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._change.clear()
                await self._change.wait()

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


def _fields(event: h11.Request | h11.EndOfMessage) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in event.headers}
