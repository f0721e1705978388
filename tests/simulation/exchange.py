"""A request and its answer, as the client sees them."""

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.virtual_time import ProcessLoop


class ConnectionLostError(Exception):
    """The answer broke off, or never came."""


@dataclass(frozen=True)
class Frame:
    """One event as it is on the wire."""

    id: int
    event: str
    data: str
    timestamp: int


@dataclass
class Exchange:
    """Collect an answer on the client's loop, as far as it has come."""

    loop: ProcessLoop
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_over: bool = False
    is_broken: bool = False
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a message from the app; nobody notices if the client has left."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.is_over = not message.get("more_body", False)
        self._wake()

    def end(self) -> None:
        """Mark the invocation as over; an answer without an end has broken off."""
        if not self.is_over:
            self.break_off()

    def break_off(self) -> None:
        self.is_over = self.is_broken = True
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def head(self) -> int:
        """Wait for the status."""
        while self.status is None:
            if self.is_broken:
                raise ConnectionLostError
            await self._change()
        return self.status

    async def answer(self) -> Any:
        """Wait for the whole body and parse it as JSON; return None if it is empty."""
        await self.head()
        while not self.is_over:
            await self._change()
        if self.is_broken:
            raise ConnectionLostError
        return json.loads(self.body) if self.body else None

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield the events of a stream as they come."""
        read = 0
        while True:
            end = self.body.find(b"\n\n", read)
            if end >= 0:
                yield _frame(self.body[read:end].decode())
                read = end + 2
            elif self.is_broken:
                raise ConnectionLostError
            elif self.is_over:
                return
            else:
                await self._change()


def _frame(block: str) -> Frame:
    lines = [line for line in block.split("\n") if line and not line.startswith(":")]
    fields = dict(line.split(": ", 1) for line in lines)
    said = json.loads(fields["data"])
    return Frame(int(fields["id"]), said["event"], said["data"], said["timestamp"])


def text_of(frames: Sequence[Frame]) -> str:
    """Return the answer that a stream has told, less what it has taken back."""
    said: list[Frame] = []
    for frame in frames:
        if frame.event == "CONTENT_DELTA":
            said.append(frame)
        elif frame.event == "STEP_RESET":
            stands_up_to = json.loads(frame.data)["toEventId"]
            said = [told for told in said if told.id <= stands_up_to]
    return "".join(frame.data for frame in said)
