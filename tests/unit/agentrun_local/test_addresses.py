"""Commands find the running stack of their own template, and no other."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrun_local.addresses import Addresses, announced, running_addresses
from agentrun_local.banner import banner, this_command

FACTS = {
    "rest_api": "http://127.0.0.1:8010",
    "function_url": "http://127.0.0.1:8011",
    "dynamodb": "http://127.0.0.1:1",
    "queues": "http://127.0.0.1:1",
    "token": "t",
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return tmp_path / "shop" / "template.yaml"


@pytest.fixture
def door() -> Iterator[Addresses]:
    """The addresses of a stack; its REST API's port is open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Addresses(f"http://127.0.0.1:{listener.getsockname()[1]}", FACTS["function_url"])


def file_of(template: Path) -> Path:
    return template.parent / ".agentrun" / "stack.json"


def rewritten(template: Path, /, **facts: object) -> None:
    path = file_of(template)
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_a_stack_is_found_as_long_as_it_runs(template: Path, door: Addresses) -> None:
    assert running_addresses(template) is None
    with announced(door, template):
        assert running_addresses(template) == door
    assert running_addresses(template) is None
    assert list(file_of(template).parent.iterdir()) == []


def test_a_stack_takes_away_its_own_file_only(template: Path, door: Addresses) -> None:
    with announced(door, template):
        rewritten(template, pid=os.getppid())
    assert running_addresses(template) == door


def test_what_a_killed_stack_has_left_is_not_followed(template: Path, door: Addresses) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with announced(door, template):
        # Another stack may have the port by now.
        rewritten(template, pid=ended.pid)
        assert running_addresses(template) is None


def test_a_port_that_does_not_answer_is_not_followed(template: Path) -> None:
    with announced(Addresses("http://127.0.0.1:1", "http://127.0.0.1:2"), template):
        assert running_addresses(template) is None


def test_a_copied_folder_is_another_one(template: Path, door: Addresses, tmp_path: Path) -> None:
    with announced(door, template):
        shutil.copytree(template.parent, tmp_path / "copy")
        assert running_addresses(tmp_path / "copy" / "template.yaml") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"rest_api": "https://elsewhere.example"},
        {"function_url": "https://elsewhere.example"},
        {"rest_api": 5},
        {"rest_api": "http://127.0.0.1:no"},
        {"pid": "1"},
        {"pid": 0},
        {"pid": -1},
        {"pid": 10**30},
        {"pid": None},
        {"template": None},
    ],
)
def test_a_changed_file_is_not_followed(
    template: Path, door: Addresses, changed: dict[str, object]
) -> None:
    with announced(door, template):
        rewritten(template, **changed)
        assert running_addresses(template) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_garbage_is_no_stack(template: Path, text: bytes) -> None:
    file_of(template).parent.mkdir(parents=True)
    file_of(template).write_bytes(text)
    assert running_addresses(template) is None


def test_the_banner_names_the_command_as_it_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    (tmp_path / ".venv" / "lib").mkdir()
    (commands / "agentrun").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(commands / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert this_command() == ".venv/bin/agentrun"
    monkeypatch.setenv("PATH", str(commands))
    assert this_command() == "agentrun"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(commands.parent / "lib")
    assert this_command() == str(commands / "agentrun")


def test_the_banner_says_how_to_reach_a_stack_of_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, there = tmp_path / "template.yaml", tmp_path / "shop" / "template.yaml"
    assert "agentrun chat analyst\n" in banner(FACTS, here)
    assert f"agentrun chat analyst --template {there}\n" in banner(FACTS, there)
