"""A project in an empty folder, from the wheels alone: made, run, tested, built, upgraded."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.deploy.artefacts import ARCHITECTURE, ROOT, Artefacts, invoke
from tests.deploy.test_added_tool import asked
from tests.e2e.conftest import wait_until

pytestmark = pytest.mark.timeout(400)

OWN_FILES = {
    "requirements.txt": "humanize>=4\n",
    "tools/sizes.py": '''\
"""Sizes as people say them."""

import humanize


def tell_size(size_bytes: int) -> str:
    """
    Tell a size as people do.

    Args:
        size_bytes: How many bytes.
    """
    return str(humanize.naturalsize(size_bytes))
''',
    "agents/sizes.yaml": (
        "name: Sizes\ndescription: Tells sizes.\ntools: ['tools.sizes:tell_size']\n"
    ),
    "tests/test_sizes.py": '''\
"""The agent of sizes."""

from agentrun_local.testing import Talk


def test_a_size_is_told_as_people_do() -> None:
    talk = Talk("sizes")
    talk.say('/call tell_size {"size_bytes": 1500000}')
    assert talk.results == ["1.5 MB"]
''',
}
CALL = '/call tell_size {"size_bytes": 1500000}'
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "VIRTUAL_ENV", "ARGS")
"""Variables of the rehearsal's own make and environment, which a user does not have."""


class Journey:
    """What a user types, one command after the other, with what it took and said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home / "shop"
        self.transcript: list[str] = []
        kept = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
        # The framework's two wheels are files; everything else comes from the registry.
        self.environment = kept | {
            "UV_FIND_LINKS": str(home / "wheels"),
            "ARCH": ARCHITECTURE,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def types(self, command: str, folder: Path | None = None, *, status: int = 0) -> str:
        """Run a command in the project's folder, or another; return what it said."""
        begun = time.monotonic()
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=folder or self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self._note(command, begun, done.stdout)
        assert done.returncode == status, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def writes(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.project / name).write_text(text, encoding="utf-8")
            self.transcript.append(f"          # writes {name}")

    @contextmanager
    def dev(self) -> Iterator[dict[str, Any]]:
        """Run `make dev`; yields the addresses and a token."""
        begun = time.monotonic()
        ready = self.home / "ready.json"
        command = f'make dev ARGS="--port 0 --url-port 0 --ready-file {ready}"'
        log = self.home / "dev.log"
        with log.open("wb") as output:
            dev = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {command}"],
                cwd=self.project,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: ready.exists() or dev.poll() is not None, "the stack", within_s=120)
            assert ready.exists(), log.read_text()
            self._note(command, begun, "")
            yield json.loads(ready.read_text())
        finally:
            dev.terminate()
            dev.wait(timeout=30)

    def _note(self, command: str, begun: float, said: str) -> None:
        self.transcript.append(f"{time.monotonic() - begun:7.1f} s $ {command}")
        self.transcript += [f"          {line}" for line in said.splitlines()[-3:]]


@pytest.fixture(scope="module")
def journey(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Journey]:
    home = tmp_path_factory.mktemp("home")
    for source in (ROOT, ROOT / "clients/python"):
        list(WheelBuilder(str(source)).build(directory=str(home / "wheels"), versions=["standard"]))
    journey = Journey(home)
    journey.types(f"{sys.executable} -m uv venv --quiet --python {sys.executable} env", home)
    install = f"{sys.executable} -m uv pip install --quiet --python env/bin/python"
    journey.types(f"{install} 'agentrun-serverless[project]'", home)
    journey.types("env/bin/agentrun init shop", home)
    journey.writes(OWN_FILES)
    journey.types(f"make setup PYTHON={sys.executable}")
    yield journey
    # What pytest's `capsys` uses itself, which fixtures of a module cannot have.
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(journey.transcript))  # noqa: T201 - what the test is run for


def test_the_stack_answers_on_this_machine_with_the_tool_and_its_package(journey: Journey) -> None:
    with journey.dev() as stack, httpx.Client(timeout=60) as client:
        answer = client.post(
            f"{stack['rest_api']}/api/agents/sizes/runs",
            headers={"Authorization": f"Bearer {stack['token']}"},
            json={"message": CALL},
        )
    assert answer.status_code == 200, answer.text
    assert "1.5 MB" in answer.json()["content"]


def test_the_tests_pass(journey: Journey) -> None:
    assert "4 passed" in journey.types("make test")


def test_what_is_built_answers_on_the_runtimes_python(
    journey: Journey, runtime: str, environment: dict[str, str]
) -> None:
    journey.types('make build ARGS="StreamFunction"')
    built = Artefacts(journey.project)
    answer = invoke(runtime, built, "StreamFunction", asked("sizes", CALL), environment)
    assert answer["answer"]["statusCode"] == 200
    assert "1.5 MB" in answer["answer"]["body"]
    assert '"event":"STOP"' in answer["answer"]["body"]
    # Nothing of the project but its agents and tools, and no package that another layer has.
    layer = built.folder("AgentsLayer") / "python"
    names = {path.name.partition("-")[0] for path in layer.iterdir()}
    assert names == {"agents", "humanize", "tools"}


def test_an_upgrade_brings_what_is_new_and_keeps_what_was_edited(journey: Journey) -> None:
    template = journey.project / "template.yaml"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("Default: 1024", "Default: 2048"), encoding="utf-8")
    assert "Nothing to do" in journey.types(".venv/bin/agentrun upgrade --check")
    (shipped,) = journey.project.glob(".venv/lib/*/site-packages/agentrun_project/files/*.yaml")
    newer = shipped.read_text(encoding="utf-8").replace("MaxValue: 400", "MaxValue: 300")
    # Not in place: uv's cache has the same file.
    shipped.unlink()
    shipped.write_text(newer, encoding="utf-8")
    journey.types(".venv/bin/agentrun upgrade --check", status=1)
    assert "+    MaxValue: 300" in journey.types(".venv/bin/agentrun upgrade")
    upgraded = template.read_text(encoding="utf-8")
    assert upgraded.count("MaxValue: 300") == newer.count("MaxValue: 300") > 0
    assert "Default: 2048" in upgraded
    assert "Nothing to do" in journey.types(".venv/bin/agentrun upgrade")
