"""Where a peer is asked: its server, the model that it calls, and what its tools have done."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.peers.model_server import ModelCall, ModelServer
from bench.peers.peer import NoWayError, Peer, Piece, Run
from bench.peers.server import Server, free_port

START_WITHIN_S = 120
_TAGS = itertools.count(1)


@dataclass
class Heard:
    """What one reader has heard of a run."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    run: Run | None = None
    cursor: str = ""
    pause: object = None
    refusal: str = ""

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(text for _, text in self.pieces)

    def hear(self, piece: Piece) -> None:
        """Add a piece, or take back what it voids."""
        self.run = piece.run or self.run
        self.cursor = piece.cursor or self.cursor
        self.pause = piece.pause or self.pause
        if piece.keeps is not None:
            kept = int(piece.keeps)
            self.pieces = [(cursor, text) for cursor, text in self.pieces if int(cursor) <= kept]
        self.pieces.append((piece.cursor, piece.text))


@dataclass
class Place:
    """One peer's place in the comparison."""

    peer: Peer
    server: Server
    model: ModelServer
    http: httpx.AsyncClient

    @staticmethod
    def tag() -> str:
        """Return a tag that no other run has."""
        return f"t{next(_TAGS)}"

    def effects(self, tag: str) -> int:
        """Count how often a run's tool has acted."""
        try:
            return (self.server.folder / "effects").read_text().split().count(tag)
        except FileNotFoundError:
            return 0

    def working_pids(self) -> list[int]:
        """Return the processes that answer."""
        return list(self.peer.working_pids(self.server.pids()))

    async def serve(self) -> None:
        """Start the server and wait until it answers."""
        self.server.start()
        async with asyncio.timeout(START_WITHIN_S):
            while not await self._answers():
                await asyncio.sleep(0.02)

    async def restart(self) -> None:
        """Kill the server with all of its processes, and start it again."""
        self.server.kill()
        await self.serve()

    async def listen(
        self,
        pieces: AsyncIterator[Piece],
        heard: Heard,
        enough: Callable[[], bool] = lambda: False,
    ) -> Heard:
        """Read a stream to its end, or until there is enough and the connection is cut."""
        try:
            async for piece in pieces:
                heard.hear(piece)
                if enough():
                    break
        except NoWayError as error:
            heard.refusal = str(error) or "no"
        except (httpx.HTTPError, KeyError, TypeError) as error:
            heard.refusal = type(error).__name__
        finally:
            if closing := getattr(pieces, "aclose", None):
                await closing()
        return heard

    async def ask(self, message: str, tokens: int | None = None) -> Heard:
        """Run a message to its end."""
        tag = message[1:].partition("]")[0]
        return await self.listen(self.peer.run(self.http, message, tag, tokens), Heard())

    async def status(self, run: Run | None) -> tuple[str, str]:
        """Return a run's status and answer; empty where there is no record."""
        if run is None:
            return "", ""
        try:
            return await self.peer.status(self.http, run)
        except (NoWayError, httpx.HTTPError):
            return "", ""

    async def _answers(self) -> bool:
        try:
            answer = await self.http.get(self.peer.ready_path, timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK


async def until(condition: Callable[[], bool], within_s: float) -> float | None:
    """Wait until something is so; return how long that took, None if it never was."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            return None
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def has_ended(call: ModelCall) -> bool:
    """Tell whether a model's answer is over, whole or not."""
    return call.ended is not None


@asynccontextmanager
async def place_of(peer: Peer, folder: Path, model: ModelServer) -> AsyncIterator[Place]:
    """Prepare a peer's place; its server is killed at the end of the block."""
    folder.mkdir()
    port = free_port()
    server = Server(folder, port, peer.launch(folder, port, model.url))
    headers = peer.headers(folder)
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
        try:
            yield Place(peer, server, model, http)
        finally:
            server.kill()
