"""What a peer is to the questions: a server to start, and the ways that it documents to use it."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx

from bench.peers.server import Launch, plain_environment
from bench.processes import ROOT

APPS = Path(__file__).parent / "apps"
APPS_PACKAGE = "bench.peers.apps"
_VENVS = ROOT / ".venv" / "peers"


class NoWayError(Exception):
    """The peer documents no way to do this; the text says what there is instead, if anything."""


@dataclass(frozen=True)
class Run:
    """A run as its peer names it; `session` where the peer wants that, too."""

    id: str
    session: str = ""


@dataclass(frozen=True)
class Piece:
    """
    Something that a stream has said.

    `run` is set once the peer has named the run; `cursor` is where to resume after this piece;
    `pause` is what a decision needs, set where the run waits for one.
    """

    text: str = ""
    run: Run | None = None
    cursor: str = ""
    pause: Any = None
    keeps: str | None = None
    """Where the stream takes back what came after a cursor: that cursor."""


@dataclass(frozen=True)
class Frame:
    """One SSE frame."""

    id: str
    event: str
    data: Any


class Peer:
    """
    A peer; its methods raise `NoWayError` unless it documents a way.

    `packages` are those whose versions the table names, the first one the peer itself.
    """

    name: ClassVar[str] = ""
    environment: ClassVar[str] = ""
    packages: ClassVar[Sequence[str]] = ()
    ready_path: ClassVar[str] = "/"
    budget: ClassVar[str] = ""
    """What its documentation limits a run by, if not by tokens."""

    @property
    def python(self) -> Path:
        """The interpreter that has its packages."""
        return _VENVS / self.environment / "bin" / "python"

    def launch(self, folder: Path, port: int, model_url: str) -> Launch:
        """Say how to start its server, with `folder` to keep things in."""
        command: list[str | Path] = [self.python, "-m", f"{APPS_PACKAGE}.{self.environment}_app"]
        return Launch(command, self.variables(folder, port, model_url))

    def variables(self, folder: Path, port: int, model_url: str) -> dict[str, str]:
        """Return the environment of its server."""
        return plain_environment(
            PORT=str(port),
            PYTHONPATH=str(ROOT),
            OPENAI_BASE_URL=model_url,
            OPENAI_API_KEY="scripted",
            EFFECTS=str(folder / "effects"),
        )

    def headers(self, folder: Path) -> dict[str, str]:
        """Return what each request carries; nothing unless it wants a token."""
        del folder
        return {}

    def working_pids(self, pids: Sequence[int]) -> Sequence[int]:
        """Return those processes that answer; all unless the server plays a cloud."""
        return pids

    def cold_pids(self, pids: Sequence[int]) -> Sequence[int]:
        """Return the processes to end for a cold start; none if the whole server starts anew."""
        del pids
        return []

    def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        """Start a run and stream it; `key` tells a repeated request from a new one."""
        raise NotImplementedError

    def resume(self, http: httpx.AsyncClient, run: Run, cursor: str) -> AsyncIterator[Piece]:
        """Stream what a run said after a cursor."""
        raise NoWayError

    async def status(self, http: httpx.AsyncClient, run: Run) -> tuple[str, str]:
        """Return a run's status as the peer writes it, and its answer so far."""
        raise NoWayError

    async def statuses(self, http: httpx.AsyncClient, runs: Sequence[Run]) -> int:
        """Ask for the status of many runs; return how many requests that took."""
        for run in runs:
            await self.status(http, run)
        return len(runs)

    async def cancel(self, http: httpx.AsyncClient, run: Run) -> None:
        """Stop a run."""
        raise NoWayError

    async def approve(self, http: httpx.AsyncClient, run: Run, pause: Any) -> None:
        """Approve what a run waits for; return once that has been taken."""
        raise NoWayError


async def frames(response: httpx.Response) -> AsyncIterator[Frame]:
    """Read a stream's frames whose data is JSON; an answer that is no stream is an error."""
    if response.is_error:
        await response.aread()
        raise httpx.HTTPStatusError(response.text, request=response.request, response=response)
    values: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            values[name] = value.removeprefix(" ")
        elif values.get("data"):
            yield Frame(values.get("id", ""), values.get("event", ""), json.loads(values["data"]))
            values = {}
