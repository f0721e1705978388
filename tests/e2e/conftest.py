"""The local stack as `agentrun dev` runs it, in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentrun_local.machine.identity import Caller, DevIdentity

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).parent / "stand_in"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15
WAIT_S = 20


class StackDiedError(Exception):
    """`agentrun dev` ended before it was ready; carries what it printed."""


@dataclass(frozen=True)
class LocalStack:
    """A running `agentrun dev`."""

    process: subprocess.Popen[str]
    folder: Path
    rest_api: str
    function_url: str
    dynamodb: str
    queues: str
    pids: Sequence[int]
    log: Path

    def token(self, **caller: Any) -> str:
        """Sign a token; the arguments are those of `Caller`."""
        return DevIdentity(self.folder / ".agentrun").token(Caller(**caller))

    def client(self, door: str = "rest_api", **caller: Any) -> httpx.Client:
        """Make a client of one door that carries a token."""
        headers = {"Authorization": f"Bearer {self.token(**caller)}"}
        return httpx.Client(base_url=getattr(self, door), headers=headers, timeout=WAIT_S)


def wait_until(condition: Callable[[], bool], what: str, *, within_s: float = WAIT_S) -> None:
    """Look again and again until something is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


def agentrun(
    *arguments: str | Path, output: Path, command: str = "agentrun_local.cli"
) -> subprocess.Popen[str]:
    """Start the command; its output goes to a file."""
    with output.open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def running_stack(
    template: Path, scratch: Path, *arguments: str, command: str = "agentrun_local.cli"
) -> Iterator[LocalStack]:
    """Run `agentrun dev` on free ports; at the end it has to leave within 15 s."""
    ready = scratch / "ready.json"
    log = scratch / "dev.log"
    options = ("dev", "--template", template, "--ready-file", ready, "--port", "0")
    process = agentrun(*options, "--url-port", "0", *arguments, output=log, command=command)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackDiedError(log.read_text())
            time.sleep(0.02)
        facts = json.loads(ready.read_text())
        facts.pop("token")
        yield LocalStack(process, template.parent, log=log, **facts)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_TIMEOUT_S)


def stand_in_copy(folder: Path) -> Path:
    """Copy the stand-in application to a folder whose files may change; return its template."""
    shutil.copytree(STAND_IN, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "template.yaml"


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Yield this project's own stack, demo model, empty table."""
    # Without caps: the runs of one test that were killed must not stand in the way of the next one.
    uncapped = ("--parameter", "MaxRunsPerUser=0", "--parameter", "MaxRunsPerTenant=0")
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(ROOT / "template.yaml", folder, *uncapped) as stack:
        yield stack


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Yield a stack of functions that misbehave when told to."""
    scratch = tmp_path_factory.mktemp("stand_in")
    template = stand_in_copy(scratch / "application")
    variables = scratch / "variables.env"
    variables.write_text("SECRET='of a file'\n")
    options = ("--parameter", "Greeting=ahoy", "--env-file", str(variables))
    with running_stack(template, scratch, *options) as stack:
        yield stack


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only waiting to be collected."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        # It has just gone, or this system has no /proc.
        return not Path("/proc/self").exists()
    return status.rpartition(")")[2].split()[0] != "Z"
