"""Agrentrun itself: the local stack of a copy of the project, with an agent like its peers'."""

import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from agentrun_local.machine.identity import Caller, DevIdentity
from bench.peers.peer import APPS, Peer, Piece, Run, frames
from bench.peers.server import Launch, plain_environment
from bench.processes import ROOT

_PATH = "/api/agents/peer/runs"
_AGENT = """\
name: Peer
description: The agent of the comparison.
model: openai:scripted
tools: ['tools.peer:act', 'tools.peer:pay']
approval: [pay]
limits: {request_limit: 1000}
"""
_WITHOUT_BYTECODE = shutil.ignore_patterns("__pycache__")


class Agentrun(Peer):
    """The local stack, which keeps its stand-ins for DynamoDB and SQS in a file."""

    name = "Agentrun"
    packages = ("agentrun-serverless", "pydantic-ai-slim")
    ready_path = "/api/v1/health"

    @property
    def python(self) -> Path:
        return Path(sys.executable)

    def launch(self, folder: Path, port: int, model_url: str) -> Launch:
        project = folder / "project"
        for name in ("functions", "layers"):
            shutil.copytree(ROOT / name, project / name, ignore=_WITHOUT_BYTECODE)
        shutil.copy(ROOT / "template.yaml", project)
        (project / "layers/agents/agents/peer.yaml").write_text(_AGENT)
        shutil.copy(APPS / "tools.py", project / "layers/agents/tools/peer.py")
        variables = {
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "scripted",
            "EFFECTS": str(folder / "effects"),
        }
        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        (folder / "variables.env").write_text(lines)
        return Launch(
            [
                *(self.python, "-m", "agentrun_local.cli", "dev", "--persist", "--port", str(port)),
                *("--url-port", "0", "--template", project / "template.yaml"),
                *("--env-file", folder / "variables.env"),
            ],
            plain_environment(HOME=str(folder)),
        )

    def headers(self, folder: Path) -> dict[str, str]:
        token = DevIdentity(folder / "project" / ".agentrun").token(Caller())
        return {"Authorization": f"Bearer {token}"}

    def working_pids(self, pids: Sequence[int]) -> Sequence[int]:
        """Return the functions' processes, without the stand-ins for AWS."""
        return [pid for pid in pids if function_of(pid)]

    def cold_pids(self, pids: Sequence[int]) -> Sequence[int]:
        """Return the stream function's process: a new one is what a cold start is."""
        return [pid for pid in pids if function_of(pid) == "StreamFunction"]

    async def run(
        self, http: httpx.AsyncClient, message: str, key: str, tokens: int | None = None
    ) -> AsyncIterator[Piece]:
        asked: dict[str, Any] = {"message": message}
        if tokens:
            asked["options"] = {"maxTotalTokens": tokens}
        headers = {"Idempotency-Key": key}
        async for piece in _pieces(http, "POST", f"{_PATH}/stream", asked, headers):
            yield piece

    async def resume(self, http: httpx.AsyncClient, run: Run, cursor: str) -> AsyncIterator[Piece]:
        headers = {"Last-Event-ID": cursor or "0"}
        async for piece in _pieces(http, "GET", f"{_PATH}/{run.id}/stream", None, headers):
            yield piece

    async def status(self, http: httpx.AsyncClient, run: Run) -> tuple[str, str]:
        found = (await http.get(f"{_PATH}/{run.id}/status")).raise_for_status().json()
        return found["status"], found.get("output", "")

    async def statuses(self, http: httpx.AsyncClient, runs: Sequence[Run]) -> int:
        ids = ",".join(run.id for run in runs)
        found = (
            (await http.get(f"{_PATH}/status", params={"runIds": ids})).raise_for_status().json()
        )
        assert len(found) == len(runs)
        return 1

    async def cancel(self, http: httpx.AsyncClient, run: Run) -> None:
        (await http.delete(f"{_PATH}/{run.id}")).raise_for_status()

    async def approve(self, http: httpx.AsyncClient, run: Run, pause: Any) -> None:
        answer = await http.post(f"{_PATH}/{run.id}/continue", json={"action": "APPROVE"})
        answer.raise_for_status()


def function_of(pid: int) -> str:
    """Return the name of the function that a process serves, empty if it serves none."""
    try:
        variables = Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    name = b"AWS_LAMBDA_FUNCTION_NAME="
    return next((one[len(name) :].decode() for one in variables if one.startswith(name)), "")


async def _pieces(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    asked: dict[str, Any] | None,
    headers: dict[str, str],
) -> AsyncIterator[Piece]:
    """Read events; what a STEP_RESET voids is taken back by a piece with `keeps`."""
    async with http.stream(method, path, json=asked, headers=headers) as answer:
        if answer.status_code == 204:
            return
        async for frame in frames(answer):
            text, said = "", frame.data["data"]
            run = pause = keeps = None
            match frame.data["event"]:
                case "START":
                    run = Run(json.loads(said)["runId"])
                case "CONTENT_DELTA":
                    text = said
                case "PAUSED":
                    pause = json.loads(said)
                case "STEP_RESET":
                    keeps = str(json.loads(said)["toEventId"])
                case _:
                    pass
            yield Piece(text, run, frame.id, pause, keeps)
