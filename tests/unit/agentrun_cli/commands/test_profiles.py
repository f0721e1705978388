"""`agentrun profiles`: what can be named, changed and taken away."""

import json
from pathlib import Path

import pytest

from agentrun_local.cli import main

API = "https://api.example"


def profiles(*arguments: str) -> int:
    return main(["profiles", *arguments])


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert profiles("list", "--json") == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_profiles_are_added_used_changed_and_removed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiles("set", "live", "--base-url", f"{API}/", "--scope", "a b") == 0
    assert profiles("use", "live") == 0
    assert listed(capsys) == [{"name": "live", "baseUrl": API, "inUse": True}]
    assert profiles("set", "live", "--token-command", "echo 1", "--scope", "") == 0
    assert profiles("show", "live", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"name": "live", "baseUrl": API, "tokenCommand": "echo 1"}
    assert profiles("use", "local") == 0
    assert listed(capsys)[0]["inUse"] is False
    assert profiles("remove", "live") == 0
    assert listed(capsys) == []


def test_columns_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    profiles("set", "live", "--base-url", API)
    profiles("use", "live")
    assert profiles("list") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["*", "live", API]
    assert profiles("show", "live") == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["base_url", API]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "new"), "give its --base-url"),
        (("set", "a.b", "--base-url", API), "is no name for a profile"),
        (("set", "new", "--base-url", "api.example"), "is no base URL"),
        (("use", "none"), "there is no profile 'none'"),
        (("remove", "none"), "there is no profile 'none'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiles(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("agentrun: ")
    assert said in line


def test_a_profile_keeps_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    profiles("set", "live", "--base-url", API)
    assert profiles("set", "live", "--base-url", "") == 2
    assert "needs its base_url" in capsys.readouterr().err


def test_names_of_profiles_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles("set", "live", "--base-url", API)
    profiles("set", "staging", "--base-url", API)
    monkeypatch.setenv("_AGENTRUN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "agentrun runs list --profile s")
    monkeypatch.setenv("COMP_CWORD", "4")
    with pytest.raises(SystemExit, match="0"):
        main([])
    assert capsys.readouterr().out.split() == ["staging"]
