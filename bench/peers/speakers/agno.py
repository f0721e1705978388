"""AgentOS: runs with `background=true`, resumed by their events' index."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from bench.peers.peer import Peer, Piece, Run, frames

_RUNS = "/agents/peer/runs"


class Agno(Peer):
    """AgentOS with SQLite; its durable queue needs Postgres or Redis."""

    name = "AgentOS"
    environment = "agno"
    packages = ("agno",)
    ready_path = "/health"
    budget = "tool calls"

    async def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        del tokens
        form = {"message": message, "stream": "true", "background": "true"}
        # Only the durable queue heeds it.
        async for piece in _pieces(http, _RUNS, form, {"Idempotency-Key": key}):
            yield piece

    async def resume(self, http: httpx.AsyncClient, run: Run, cursor: str) -> AsyncIterator[Piece]:
        form = {"session_id": run.session} | ({"last_event_index": cursor} if cursor else {})
        async for piece in _pieces(http, f"{_RUNS}/{run.id}/resume", form):
            yield piece

    async def status(self, http: httpx.AsyncClient, run: Run) -> tuple[str, str]:
        answer = await http.get(f"{_RUNS}/{run.id}", params={"session_id": run.session})
        found = answer.raise_for_status().json()
        return found["status"], found.get("content") or ""

    async def cancel(self, http: httpx.AsyncClient, run: Run) -> None:
        (await http.post(f"{_RUNS}/{run.id}/cancel")).raise_for_status()

    async def approve(self, http: httpx.AsyncClient, run: Run, pause: Any) -> None:
        tools = json.dumps([{**tool, "confirmed": True} for tool in pause])
        form = {"tools": tools, "session_id": run.session, "stream": "true", "background": "true"}
        async for _ in _pieces(http, f"{_RUNS}/{run.id}/continue", form):
            pass


async def _pieces(
    http: httpx.AsyncClient,
    path: str,
    form: dict[str, str],
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Piece]:
    async with http.stream("POST", path, data=form, headers=headers) as answer:
        async for frame in frames(answer):
            said = frame.data
            run = Run(said["run_id"], said["session_id"]) if "session_id" in said else None
            text = said.get("content") or "" if frame.event == "RunContent" else ""
            index = said.get("event_index")
            yield Piece(
                text if isinstance(text, str) else "",
                run,
                cursor="" if index is None else str(index),
                pause=said.get("tools") if frame.event == "RunPaused" else None,
            )
