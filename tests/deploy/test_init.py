"""
docs/start.md and docs/start-deploy.md, typed as they stand, from the framework's wheels alone.

A project in an empty folder is made, run, extended, tested, built, and upgraded.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.deploy.artefacts import ARCHITECTURE, Artefacts, invoke
from tests.deploy.test_added_tool import asked
from tests.documented import ROOT, SHELL, Block, blocks_of
from tests.e2e.conftest import wait_until
from tests.server_process import free_port

pytestmark = pytest.mark.timeout(400)

PAGE, DEPLOYING = ROOT / "docs/start.md", ROOT / "docs/start-deploy.md"
NAMED = re.compile(
    r"`(?P<path>[\w/]+\.(?:py|mjs|yaml|txt))`[^`\n]*:\n\n"
    r"```(?:python|javascript|yaml|text)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
FILES = {match["path"]: match["text"] for match in NAMED.finditer(PAGE.read_text(encoding="utf-8"))}
BLOCKS = [*blocks_of(PAGE, SHELL), *blocks_of(DEPLOYING, SHELL)]
ELSEWHERE = {
    "make deploy": "needs AWS: tests/unit/agentrun_local/deploy, and test_second_stack.py here",
    "make smoke": "needs a deployment: test_ministack.py here runs the same command",
    "SECRET_ARN=$(aws": "test_documented_aws.py here",
    "WEBHOOK_SECRET=$(aws": "test_documented_aws.py here",
    ".venv/bin/sam delete": "tests/e2e/test_documented_commands.py",
}
PORT_OF_RECEIVER = "8005"
CALL = '/call tell_size {"size_bytes": 1500000}'
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "VIRTUAL_ENV", "ARGS")
"""Variables of the rehearsal's own make and environment, which a reader does not have."""


class Reader:
    """Types what the page shows, block by block; keeps what it took and what it said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home / "shop"
        self.transcript: list[str] = []
        self.typed: set[str] = set()
        self.places = {"/tmp/ticket.txt": str(home / "ticket.txt")}  # noqa: S108 - as it is shown
        kept = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
        self.environment = kept | {
            # The framework's two wheels are files; everything else comes from the registry.
            "UV_FIND_LINKS": str(home / "wheels"),
            "ARCH": ARCHITECTURE,
            "PYTHON": sys.executable,
            "PATH": f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}",
        }

    def types(self, block: Block, *, given: str = "", status: int = 0) -> str:
        """Type a block of the page, and return what it says."""
        self.typed.add(block.text)
        return self.runs(block.text, given=given, status=status)

    def runs(self, script: str, *, given: str = "", status: int = 0) -> str:
        """Run a script in the project's folder; return what it says."""
        begun = time.monotonic()
        shown = script
        for place, real in self.places.items():
            script = script.replace(place, real)
        done = subprocess.run(
            ["/bin/bash", "-ec", given + script],
            cwd=self.project if self.project.exists() else self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.notes(shown, begun, done.stdout)
        assert done.returncode == status, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def notes(self, script: str, begun: float, said: str = "") -> None:
        first, *rest = script.strip().splitlines()
        self.transcript.append(f"{time.monotonic() - begun:7.1f} s $ {first}")
        self.transcript += [f"            {line}" for line in rest]
        self.transcript += [f"          | {line[:110]}" for line in said.split("\n")[-4:] if line]

    @contextmanager
    def receives(self, block: Block) -> Iterator[Path]:
        """Type a block that runs a receiver until the context ends; yields what it prints."""
        self.typed.add(block.text)
        begun, port, log = time.monotonic(), free_port(), self.home / "receiver.log"
        self.places[f":{PORT_OF_RECEIVER}"] = f":{port}"
        for file in (self.project / "receiver").glob("receive.*"):
            text = FILES[f"receiver/{file.name}"]
            file.write_text(text.replace(PORT_OF_RECEIVER, str(port)), encoding="utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/bash", "-ec", block.text],
                cwd=self.project,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: is_open(port) or process.poll() is not None, "the receiver", within_s=120
            )
            assert process.poll() is None, log.read_text()
            yield log
            self.notes(block.text, begun, log.read_text())
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)

    @contextmanager
    def dev(self) -> Iterator[None]:
        """Run `make dev` on free ports for as long as the context lasts."""
        begun, ready = time.monotonic(), self.home / "ready.json"
        log = self.home / "dev.log"
        with log.open("wb") as output:
            dev = subprocess.Popen(
                ["/usr/bin/env", "make", "dev", f"ARGS=--port 0 --url-port 0 --ready-file {ready}"],
                cwd=self.project,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            is_up_or_over = lambda: ready.exists() or dev.poll() is not None  # noqa: E731
            wait_until(is_up_or_over, "the stack", within_s=240)
            assert ready.exists(), log.read_text()
            self.notes("make dev", begun)
            self.places["http://127.0.0.1:8000"] = json.loads(ready.read_text())["rest_api"]
            yield
        finally:
            dev.terminate()
            dev.wait(timeout=30)


def is_open(port: int) -> bool:
    """Tell whether something listens on a port of this machine."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def reader(
    runtime: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Reader]:
    assert runtime
    home = tmp_path_factory.mktemp("home")
    for source in (ROOT, ROOT / "clients/python"):
        list(WheelBuilder(str(source)).build(directory=str(home / "wheels"), versions=["standard"]))
    reader = Reader(home)
    make, *_ = BLOCKS
    reader.typed.add(make.text)
    init, *_, dev = make.commands
    assert dev == "make dev"
    reader.runs(init)
    with reader.dev():
        yield reader
    # What pytest's `capsys` uses itself, which fixtures of a module cannot have.
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(reader.transcript))  # noqa: T201 - what the test is run for


def block_with(text: str) -> Block:
    (found,) = (block for block in BLOCKS if text in block.text)
    return found


def test_a_call_waits_for_its_approval_and_runs_then(reader: Reader) -> None:
    said = reader.types(block_with("open_ticket"))
    assert said.count('"event":"PAUSED"') == 1
    assert "TOOL_END" not in said
    given = "TOKEN=$(.venv/bin/agentrun token)\n"
    said = reader.types(block_with("APPROVE"), given=given)
    assert '\\"ticket\\":\\"T-' in said
    assert '"event":"STOP"' in said


def test_the_tests_of_the_project_pass_with_the_tool_and_its_package(reader: Reader) -> None:
    assert len(FILES) == 6
    for name, text in FILES.items():
        (reader.project / name).parent.mkdir(exist_ok=True)
        (reader.project / name).write_text(text, encoding="utf-8")
        reader.transcript.append(f"          # writes {name}")
    said = reader.types(block_with("make test"))
    assert "4 passed" in said
    assert "Nothing found." in said


@pytest.mark.parametrize("receiver", ["receive.py", "receive.mjs"])
def test_a_receiver_is_told_of_the_new_agents_run_and_refuses_what_is_forged(
    receiver: str, reader: Reader
) -> None:
    block = block_with(receiver)
    if receiver.endswith(".mjs") and shutil.which("npm") is None:
        reader.typed.add(block.text)
        pytest.skip("there is no npm")
    given = "TOKEN=$(.venv/bin/agentrun token)\n"
    with reader.receives(block) as log:
        said = reader.types(block_with('"webhook": {'), given=given)
        assert '"status":"QUEUED"' in said
        wait_until(lambda: "1.5 MB" in log.read_text(), "the webhook", within_s=60)
        assert "run.completed" in log.read_text()
        assert log.read_text().count("refused:") == 1


def test_the_doctor_finds_the_agents_and_the_tools_of_the_project(reader: Reader) -> None:
    # Nobody's credentials, and so no call of AWS.
    nobody = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY\nexport HOME=/nonexistent\n"
    said = reader.types(block_with("agentrun doctor"), given=nobody)
    assert "models: bedrock:" in said
    assert "cannot be run" not in said


def test_what_is_built_answers_on_the_runtimes_python(
    reader: Reader, runtime: str, environment: dict[str, str]
) -> None:
    block = block_with("make build")
    reader.typed.add(block.text)
    # The one function whose event is tried, with its layers; all others are built in the same way.
    reader.runs('make build ARGS="StreamFunction"')
    built = Artefacts(reader.project)
    answer = invoke(runtime, built, "StreamFunction", asked("sizes", CALL), environment)["answer"]
    assert answer["statusCode"] == 200
    assert "1.5 MB" in answer["body"]
    assert '"event":"STOP"' in answer["body"]
    # Nothing of the project but its agents and tools, and no package that another layer has.
    layer = built.folder("AgentsLayer") / "python"
    names = {path.name.partition("-")[0] for path in layer.iterdir()}
    assert names == {"agents", "humanize", "tools"}
    assert "humanize==" in (reader.project / "requirements.lock").read_text(encoding="utf-8")


def test_an_upgrade_brings_what_is_new_and_keeps_what_was_edited(reader: Reader) -> None:
    template = reader.project / "template.yaml"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("Default: 1024", "Default: 2048"), encoding="utf-8")
    (shipped,) = reader.project.glob(".venv/lib/*/site-packages/agentrun_project/files/*.yaml")
    newer = shipped.read_text(encoding="utf-8").replace("MaxValue: 400", "MaxValue: 300")
    # Not in place: uv's cache has the same file.
    shipped.unlink()
    shipped.write_text(newer, encoding="utf-8")
    reader.runs(".venv/bin/agentrun upgrade --check", status=1)
    assert "+    MaxValue: 300" in reader.types(block_with("agentrun upgrade"))
    upgraded = template.read_text(encoding="utf-8")
    assert upgraded.count("MaxValue: 300") == newer.count("MaxValue: 300") > 0
    assert "Default: 2048" in upgraded
    assert "Nothing to do" in reader.runs(".venv/bin/agentrun upgrade --check")


def test_everything_on_the_page_is_typed_here_or_elsewhere(reader: Reader) -> None:
    """The last one in this file: the others do the typing."""
    left = [block.text for block in BLOCKS if block.text not in reader.typed]
    assert [text for text in left if not text.startswith(tuple(ELSEWHERE))] == []
    assert all(any(text.startswith(command) for text in left) for command in ELSEWHERE)
