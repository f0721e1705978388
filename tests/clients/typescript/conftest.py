"""The package as it is published, installed into an empty folder, and a stack that it talks to."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT
from tests.endurance.stack import EnduranceStack, endurance_stack

PACKAGE = ROOT / "clients/typescript"
DRIVER = Path(__file__).parent / "drive.mjs"
QUIETLY = ("--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
NPM_TIMEOUT_S = 60
DRIVER_TIMEOUT_S = 90


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that has nothing but the package, installed from its file."""
    folder = tmp_path_factory.mktemp("installed")
    packed = npm("pack", "--json", "--pack-destination", str(folder), within=PACKAGE)
    file = json.loads(packed)[0]["filename"]
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm("install", *QUIETLY, file, within=folder)
    shutil.copy(DRIVER, folder)
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnduranceStack]:
    scratch = tmp_path_factory.mktemp("stack")
    with endurance_stack(scratch, variables={"AGENTRUN_DEMO_DELAY_MS": "20"}) as stack:
        yield stack


@dataclass(frozen=True)
class Driven:
    """What a driver has printed."""

    events: list[dict[str, Any]]
    outcome: dict[str, Any]


@dataclass(frozen=True)
class Driver:
    """Runs scenarios with the installed package."""

    folder: Path
    stack: EnduranceStack

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script in the folder, with the stack's addresses and a token."""
        local = self.stack.local
        environment = {
            **os.environ,
            "AGENTRUN_URL": local.rest_api,
            "AGENTRUN_STREAM_URL": local.function_url,
            "AGENTRUN_TOKEN": local.token(),
            "EVENT_SOURCE": (PACKAGE / "node_modules/eventsource/dist/index.js").as_uri(),
        }
        return subprocess.Popen(
            [found("node"), script, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def drive(self, scenario: str, *arguments: str) -> Driven:
        """Run a scenario to its end."""
        return finished(self.start(DRIVER.name, scenario, *arguments))


@pytest.fixture(scope="session")
def driver(folder: Path, stack: EnduranceStack) -> Driver:
    return Driver(folder, stack)


def finished(process: subprocess.Popen[str]) -> Driven:
    """Wait for a driver's end; it must not have failed."""
    output = output_of(process)
    *events, last = [json.loads(line) for line in output.splitlines()]
    return Driven(events, last["outcome"])


def output_of(process: subprocess.Popen[str]) -> str:
    """Wait for a process's end, and return what it has printed."""
    try:
        output, complaints = process.communicate(timeout=DRIVER_TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 0, complaints
    return output


def npm(*arguments: str, within: Path) -> str:
    """Run npm in a folder; return what it has printed."""
    return subprocess.run(
        [found("npm"), *arguments],
        cwd=within,
        check=True,
        capture_output=True,
        text=True,
        timeout=NPM_TIMEOUT_S,
    ).stdout


def found(command: str) -> str:
    """Return where a command is."""
    path = shutil.which(command)
    assert path is not None, command
    return path
