"""LangGraph's server: a run on a thread of its own, resumable streams, thread states."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.peers.peer import APPS, Peer, Piece, Run, frames
from bench.peers.server import Launch


class LangGraph(Peer):
    """`langgraph dev`; the licensed server's images cannot be installed without a key."""

    name = "LangGraph dev"
    environment = "langgraph"
    packages = ("langgraph-api", "langgraph", "langchain")
    ready_path = "/ok"
    budget = "steps, model calls"

    def launch(self, folder: Path, port: int, model_url: str) -> Launch:
        config = {"dependencies": [str(APPS)], "graphs": {"peer": f"{APPS}/langgraph_app.py:graph"}}
        (folder / "langgraph.json").write_text(json.dumps(config))
        command: list[str | Path] = [
            self.python.with_name("langgraph"),
            "dev",
            "--no-browser",
            "--no-reload",
        ]
        settings = {
            "HOME": str(folder),
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "LANGSMITH_TRACING": "false",
        }
        return Launch(
            [*command, "--port", str(port)],
            {**self.variables(folder, port, model_url), **settings},
        )

    async def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        del key, tokens
        thread = (await http.post("/threads", json={})).raise_for_status().json()["thread_id"]
        asked = _ask({"input": {"messages": [{"role": "user", "content": message}]}})
        async for piece in _pieces(http, "POST", f"/threads/{thread}/runs/stream", thread, asked):
            yield piece

    async def resume(self, http: httpx.AsyncClient, run: Run, cursor: str) -> AsyncIterator[Piece]:
        path = f"/threads/{run.session}/runs/{run.id}/stream"
        headers = {"Last-Event-ID": cursor or "-1"}
        async for piece in _pieces(http, "GET", path, run.session, None, headers):
            yield piece

    async def status(self, http: httpx.AsyncClient, run: Run) -> tuple[str, str]:
        one = (await http.get(f"/threads/{run.session}/runs/{run.id}")).raise_for_status().json()
        state = (await http.get(f"/threads/{run.session}/state")).raise_for_status().json()
        messages = (state.get("values") or {}).get("messages") or [{}]
        text = messages[-1].get("content", "") if messages[-1].get("type") == "ai" else ""
        return one["status"], text

    async def statuses(self, http: httpx.AsyncClient, runs: Sequence[Run]) -> int:
        asked = {"ids": [run.session for run in runs], "limit": len(runs)}
        found = (await http.post("/threads/search", json=asked)).raise_for_status().json()
        assert len(found) == len(runs)
        return 1

    async def cancel(self, http: httpx.AsyncClient, run: Run) -> None:
        path = f"/threads/{run.session}/runs/{run.id}/cancel"
        (await http.post(path, params={"wait": "false"})).raise_for_status()

    async def approve(self, http: httpx.AsyncClient, run: Run, pause: Any) -> None:
        asked = _ask({"command": {"resume": {"decisions": [{"type": "approve"}]}}})
        path = f"/threads/{run.session}/runs/stream"
        async for _ in _pieces(http, "POST", path, run.session, asked):
            pass


def _ask(what: dict[str, Any]) -> dict[str, Any]:
    options = {"on_disconnect": "continue", "stream_resumable": True, "durability": "sync"}
    return {"assistant_id": "peer", "stream_mode": ["messages-tuple", "updates"], **options, **what}


async def _pieces(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    thread: str,
    asked: dict[str, Any] | None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Piece]:
    async with http.stream(method, path, json=asked, headers=headers) as answer:
        async for frame in frames(answer):
            match frame.event:
                case "metadata":
                    yield Piece(run=Run(frame.data["run_id"], thread), cursor=frame.id)
                case "messages" if frame.data[0]["type"] == "AIMessageChunk":
                    yield Piece(frame.data[0]["content"], cursor=frame.id)
                case "updates" if "__interrupt__" in frame.data:
                    yield Piece(cursor=frame.id, pause=frame.data["__interrupt__"])
                case _:
                    continue
