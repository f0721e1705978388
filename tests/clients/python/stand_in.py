"""
An HTTP server on loopback that sends what it is told to, byte by byte.

It stands for a deployment behind a network: an answer may break off anywhere, end too early, or
come twice. No client of HTTP is replaced by anything.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

End = Literal["whole", "lost", "held"]
"""`lost` closes the connection before the answer's end; `held` keeps it open and says nothing."""


@dataclass(frozen=True)
class Asked:
    """A request as it came; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def last_event_id(self) -> int:
        """Where the reader wants to go on."""
        return int(self.headers.get("last-event-id", 0))


@dataclass(frozen=True)
class Reply:
    """An answer in pieces, each sent by itself `delay_s` after the one before."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Sequence[bytes] = ()
    end: End = "whole"
    delay_s: float = 0.0


SILENT = Reply(status=0)
"""No answer: the connection is closed."""


@dataclass
class StandIn:
    """The running server, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    """Those that are open."""

    def paths(self) -> list[str]:
        """Return what was asked for, in its order."""
        return [f"{asked.method} {asked.target}" for asked in self.asked]


Respond = Callable[[Asked], Reply]


class _Server:
    def __init__(self, respond: Respond, stand_in: StandIn) -> None:
        self._respond = respond
        self._stand_in = stand_in
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self._stand_in.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._stand_in.connections -= 1
            self.tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = await _read(reader)
        self._stand_in.asked.append(asked)
        reply = self._respond(asked)
        if reply is SILENT:
            return False
        fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        has_body = reply.status != 204
        framing = "transfer-encoding: chunked\r\n" if has_body else ""
        writer.write(f"HTTP/1.1 {reply.status} Whatever\r\n{fields}{framing}\r\n".encode())
        for piece in reply.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if reply.delay_s:
                await writer.drain()
                await asyncio.sleep(reply.delay_s)
        if reply.end == "held":
            await writer.drain()
            await reader.read()
        if reply.end != "whole":
            return False
        if has_body:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request, *lines = head.strip().split("\r\n")
    method, target, _ = request.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


@contextmanager
def serving(respond: Respond) -> Iterator[StandIn]:
    """Serve in a thread with a loop of its own until the end of the block."""
    loop = asyncio.new_event_loop()
    stand_in = StandIn("")
    server = _Server(respond, stand_in)

    async def start() -> asyncio.Server:
        return await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=200)

    async def stop(listening: asyncio.Server) -> None:
        listening.close()
        tasks = list(server.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        listening = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        stand_in.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield stand_in
        asyncio.run_coroutine_threadsafe(stop(listening), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
