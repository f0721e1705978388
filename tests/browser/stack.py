"""The local stack that the browser's pages come from."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
LAYER = Path(__file__).parent / "layer"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60
WAIT_S = 60


@dataclass(frozen=True)
class Stack:
    """A running `agentrun dev`; `api` carries the token that the page uses, too."""

    url: str
    pid: int
    api: httpx.Client

    def run(self, run_id: str) -> Mapping[str, Any]:
        """Read a run's record."""
        record: dict[str, Any] = self.api.get(f"/api/v1/runs/{run_id}").json()
        return record

    def ended(self, run_id: str) -> Mapping[str, Any]:
        """Wait for the end of a run; return its record."""
        deadline = time.monotonic() + WAIT_S
        while True:
            run = self.run(run_id)
            if run["status"] not in {"QUEUED", "RUNNING"}:
                return run
            assert time.monotonic() < deadline, f"still {run['status']}"
            time.sleep(0.1)

    def shell(self, line: str) -> str:
        """Run a line that the page has written for a shell, with a token; return what it prints."""
        token = self.api.headers["Authorization"].removeprefix("Bearer ")
        variables = {**os.environ, "TOKEN": token}
        bash = ["/bin/bash", "-c", line]
        return subprocess.check_output(bash, env=variables, text=True, timeout=WAIT_S)

    def kill_executors(self) -> int:
        """Kill the processes that stream runs; return how many there were."""
        killed = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                if b"lambda_asgi" in command and self.pid in _ancestors(int(folder.name)):
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed += 1
            except OSError:
                continue
        return killed


def _ancestors(pid: int) -> Sequence[int]:
    found = []
    while pid > 1:
        found.append(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def _project_with_agents(project: Path) -> Path:
    """Copy what a stack runs, and add agents and a tool."""
    if project.exists():
        return project
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("functions", "layers"):
        shutil.copytree(ROOT / folder, project / folder, ignore=ignored)
    shutil.copytree(LAYER, project / "layers/agents", ignore=ignored, dirs_exist_ok=True)
    shutil.copy(ROOT / "template.yaml", project)
    return project


def free_ports() -> tuple[int, int]:
    """Return two ports that nothing listens on."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def running_stack(
    scratch: Path, *, ports: tuple[int, int] = (0, 0), persists: bool = False
) -> Iterator[Stack]:
    """
    Run `agentrun dev`, without caps on runs.

    Args:
        scratch: Where its project is, and what it persists.
        ports: Of the REST API and the Function URL; 0 for any that is free.
        persists: Whether the next stack of the same folder goes on with its runs.
    """
    project = _project_with_agents(scratch / "project")
    ready, log = scratch / "ready.json", scratch / "dev.log"
    variables = scratch / "variables.env"
    variables.write_text("AGENTRUN_DEMO_DELAY_MS=10\n")
    command: list[str | Path] = [
        *(ROOT / ".venv/bin/agentrun", "dev", "--ready-file", ready, "--env-file", variables),
        *("--template", project / "template.yaml", "--port", str(ports[0])),
        *("--url-port", str(ports[1]), *(["--persist"] if persists else [])),
        *("--parameter", "MaxRunsPerUser=0", "--parameter", "MaxRunsPerTenant=0"),
    ]
    ready.unlink(missing_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        url = json.loads(ready.read_text())["rest_api"]
        token = httpx.get(f"{url}/playground/config.json").json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=WAIT_S) as api:
            yield Stack(url, process.pid, api)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_TIMEOUT_S)
