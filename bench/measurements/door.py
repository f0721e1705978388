"""A buffered answer at the local stack's REST door."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.lab import Lab
from bench.layers import Build
from bench.processes import Process, ProcessEndedError, running
from bench.table import Budget, Row, compare

REQUESTS, ROUNDS = 60, 3
_START_TIMEOUT_S = 60


async def measure(lab: Lab) -> list[Row]:
    """List the agents over one connection that is kept, as a browser would."""
    figures = {}
    for build in lab.builds:
        async with _stack(build) as (url, token):
            rounds = [await asyncio.to_thread(_requests, url, token) for _ in range(ROUNDS)]
        figures[build.name] = min(median(taken) for taken in rounds)
    what = "local REST door, GET /api/agents, p50"
    return compare(what, figures, "ms", Budget(8))


@asynccontextmanager
async def _stack(build: Build) -> AsyncIterator[tuple[str, str]]:
    """Run `agentrun dev`; yields the URL of the REST API and a token."""
    with tempfile.TemporaryDirectory(prefix="agentrun-bench-") as folder:
        ready = Path(folder, "ready.json")
        python_path = os.pathsep.join([str(build.root / "local"), *build.layers])
        command: list[str | Path] = [
            *(sys.executable, "-m", "agentrun_local.cli", "dev"),
            *("--port", "0", "--url-port", "0", "--ready-file", ready),
        ]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": python_path}
        async with running(command, environment, cwd=build.root, gently=True) as process:
            facts = await asyncio.to_thread(_wait_for, ready, process)
            yield facts["rest_api"], facts["token"]


def _wait_for(ready: Path, process: Process) -> dict[str, str]:
    for _ in range(_START_TIMEOUT_S * 20):
        if ready.exists():
            facts: dict[str, str] = json.loads(ready.read_text())
            return facts
        time.sleep(0.05)
    raise ProcessEndedError(process.output())


def _requests(url: str, token: str) -> list[float]:
    connection = HTTPConnection(urlsplit(url).netloc)
    taken = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        connection.request("GET", "/api/agents", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        taken.append((time.perf_counter() - started) * 1e3)
        if answer.status != 200:
            raise ProcessEndedError(f"the door answers {answer.status}")
    connection.close()
    return taken
