"""The packages of a project's tools are pinned beside the framework's, here without uv."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentrun_project import tool_packages
from agentrun_project.errors import ProjectError
from agentrun_project.tool_packages import framework_pins, locked

HASH = " \\\n    --hash=sha256:aa\n"
PINS = dict(line.split("==") for line in framework_pins().splitlines() if " ; " not in line)


class Uv:
    """Stands for uv: what it pins, or why it cannot; `calls` are the requirements that it got."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pins = f"humanize==4.17.0{HASH}"
        self.complaint = ""
        self.calls: list[str] = []
        monkeypatch.setattr(subprocess, "run", self)

    def __call__(self, command: list[str], *, cwd: Path, **_: Any) -> Any:
        self.calls.append((cwd / "requirements.txt").read_text(encoding="utf-8"))
        self.constraints = (cwd / "framework.txt").read_text(encoding="utf-8")
        assert "--generate-hashes" in command
        if not self.complaint:
            (cwd / "requirements.lock").write_text(self.pins, encoding="utf-8")
        return subprocess.CompletedProcess(command, bool(self.complaint), "", self.complaint)


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Uv:
    return Uv(monkeypatch)


def ask(project: Path, requirements: str) -> str:
    (project / "requirements.txt").write_text(requirements, encoding="utf-8")
    return locked(project)


def test_nothing_is_resolved_where_nothing_is_asked_for(tmp_path: Path, uv: Uv) -> None:
    assert locked(tmp_path) == ask(tmp_path, "# Nothing yet.\n\n") == ""
    assert uv.calls == []


def test_a_lock_is_kept_until_the_requirements_change(tmp_path: Path, uv: Uv) -> None:
    assert ask(tmp_path, "humanize>=4\n") == locked(tmp_path) == f"humanize==4.17.0{HASH}"
    uv.pins = f"humanize==3.0{HASH}"
    assert ask(tmp_path, "humanize<4\n") == uv.pins
    assert uv.calls == ["humanize>=4\n", "humanize<4\n"]
    assert (tmp_path / "requirements.lock").read_text(encoding="utf-8").endswith(uv.pins)


def test_another_framework_resolves_anew(
    tmp_path: Path, uv: Uv, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tmp_path, "humanize\n")
    monkeypatch.setattr(tool_packages, "framework_pins", lambda: "boto3==9\n")
    locked(tmp_path)
    assert len(uv.calls) == 2
    assert uv.constraints == "boto3==9\n"


def test_what_the_layers_beside_always_bring_is_left_out(tmp_path: Path, uv: Uv) -> None:
    # Attached beside some deployments' functions only.
    sometimes = f"openai=={PINS['openai']}{HASH}"
    uv.pins = f"boto3=={PINS['boto3']}{HASH}humanize==4{HASH}{sometimes}"
    assert ask(tmp_path, "humanize\nopenai\nboto3\n") == f"humanize==4{HASH}{sometimes}"


def test_a_pin_that_is_not_one_for_lambda_is_not_brought(tmp_path: Path, uv: Uv) -> None:
    assert "httpx2-jsfetch==" in framework_pins()
    uv.pins = f"httpx2-jsfetch==1.0{HASH}"
    assert ask(tmp_path, "httpx2-jsfetch\n") == uv.pins


def test_the_pins_are_constraints_which_have_no_extras() -> None:
    assert "pydantic-ai-slim==" in framework_pins()
    assert "[" not in framework_pins()


def test_a_conflict_names_the_framework_and_what_to_do(tmp_path: Path, uv: Uv) -> None:
    uv.complaint = "  No solution found: you require pydantic<2 and pydantic==2.13\n"
    with pytest.raises(ProjectError) as caught:
        ask(tmp_path, "pydantic<2\n")
    first, *_, last = str(caught.value).splitlines()
    assert "cannot be deployed beside those of agentrun-serverless 0." in first
    assert "you require pydantic<2 and pydantic==2.13" in str(caught.value)
    assert last == "Ask for other versions in requirements.txt, then build again."
    assert not (tmp_path / "requirements.lock").exists()
