"""FastAPI with pydantic-ai, the AgentCore SDK's app with Strands, and pydantic-ai on DBOS."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from bench.peers.peer import NoWayError, Peer, Piece, Run, frames


class FastApi(Peer):
    """FastAPI and pydantic-ai: a route that streams, and nothing else."""

    name = "FastAPI + pydantic-ai"
    environment = "fastapi"
    packages = ("fastapi", "pydantic-ai-slim")
    ready_path = "/openapi.json"

    async def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        del key
        async with http.stream(
            "POST", "/chat", json={"message": message, "tokens": tokens}
        ) as answer:
            async for frame in frames(answer):
                yield Piece(frame.data.get("text", ""))


class AgentCore(Peer):
    """The AgentCore SDK's app on this machine; a session takes the place of a run."""

    name = "AgentCore SDK + Strands"
    environment = "agentcore"
    packages = ("bedrock-agentcore", "strands-agents")
    ready_path = "/ping"
    _HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

    async def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        del key
        run = Run(uuid.uuid4().hex)
        asked = {"prompt": message} | ({"tokens": tokens} if tokens else {})
        headers = {self._HEADER: run.id}
        async with http.stream("POST", "/invocations", json=asked, headers=headers) as answer:
            yield Piece(run=run)
            async for frame in frames(answer):
                yield Piece(frame.data.get("text", ""), pause=frame.data.get("pauses") or None)

    async def approve(self, http: httpx.AsyncClient, run: Run, pause: Any) -> None:
        answers = [
            {"interruptResponse": {"interruptId": one["id"], "response": "yes"}} for one in pause
        ]
        headers = {self._HEADER: run.id}
        async with http.stream(
            "POST", "/invocations", json={"prompt": answers}, headers=headers
        ) as answer:
            async for frame in frames(answer):
                if "error" in frame.data:
                    raise NoWayError(frame.data["error"])


class Dbos(Peer):
    """pydantic-ai on DBOS with SQLite, behind five routes of our own."""

    name = "pydantic-ai on DBOS"
    environment = "dbos"
    packages = ("dbos", "pydantic-ai-slim")
    ready_path = "/openapi.json"

    async def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        asked = {"message": message, "tokens": tokens}
        started = await http.post("/runs", json=asked, headers={"Idempotency-Key": key})
        run = Run(started.raise_for_status().json()["id"])
        yield Piece(run=run)
        if " pay " in message:
            while not (await http.get(f"/runs/{run.id}/paused")).json():
                await asyncio.sleep(0.1)
            yield Piece(pause=True)
            return
        async for piece in self.resume(http, run, "0"):
            yield piece

    async def resume(self, http: httpx.AsyncClient, run: Run, cursor: str) -> AsyncIterator[Piece]:
        async with http.stream(
            "GET", f"/runs/{run.id}/stream", params={"offset": cursor}
        ) as answer:
            async for frame in frames(answer):
                yield Piece(frame.data.get("text", ""), cursor=frame.id)

    async def status(self, http: httpx.AsyncClient, run: Run) -> tuple[str, str]:
        found = (await http.get("/runs", params={"ids": run.id})).raise_for_status().json()
        return found[0]["status"], found[0]["output"] or ""

    async def statuses(self, http: httpx.AsyncClient, runs: Sequence[Run]) -> int:
        ids = ",".join(run.id for run in runs)
        found = (await http.get("/runs", params={"ids": ids})).raise_for_status().json()
        assert len(found) == len(runs)
        return 1

    async def cancel(self, http: httpx.AsyncClient, run: Run) -> None:
        (await http.post(f"/runs/{run.id}/cancel")).raise_for_status()

    async def approve(self, http: httpx.AsyncClient, run: Run, pause: Any) -> None:
        (await http.post(f"/runs/{run.id}/approve")).raise_for_status()
