"""The command's answers to what is asked wrongly, and its tokens."""

import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from agentrun_local.cli import main

EVENT = Path(__file__).resolve().parents[3] / "events" / "health.json"


def test_a_token_carries_what_the_options_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = str(tmp_path / "template.yaml")
    options = ["--user", "ann", "--org", "acme", "--scope", "runs:read", "--roles", "admin"]
    assert main(["token", "--template", template, *options, "--expires-in", "60"]) == 0
    token = capsys.readouterr().out.strip()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["org_id"], claims["scope"]) == ("ann", "acme", "runs:read")
    assert claims["roles"] == ["admin"]
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["invoke", "status", "/no/such.json"], "Cannot read /no/such.json"),
        (
            ["dev", "--template", "/no/template.yaml", "--port", "0", "--url-port", "0"],
            "Cannot read /no/template",
        ),
        (["invoke", "status", str(EVENT), "--template", "/no/t.yaml"], "Cannot read /no/t.yaml"),
        (["invoke", "status", __file__], "is not JSON"),
        (["invoke", "status", str(EVENT), "--model", "haiku"], "The model 'haiku' is neither"),
        (
            ["invoke", "status", str(EVENT), "--parameter", "LogRetentionDays=8"],
            "The parameter LogRetentionDays=8: must be one of 1, 3, 5",
        ),
        (
            ["invoke", "status", str(EVENT), "--env-file", "/no/such.env"],
            "Cannot read /no/such.env",
        ),
        (["dev", "--env-file", "/no/such.env"], "Cannot read /no/such.env"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_1(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("agentrun: ")
    assert complaint in line


@pytest.mark.parametrize(
    "arguments", [["dev", "--port", "70000"], ["dev", "--parameter", "x"], [], ["no-such"]]
)
def test_wrong_options_are_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    complaint, *usage = capsys.readouterr().err.splitlines()
    assert complaint.startswith("agentrun: ")
    assert "Usage: agentrun" in usage[0]
    assert usage[-1].startswith("Try: agentrun")


LIGHT = """
import sys
from agentrun_local.cli import main
assert main(sys.argv[1:]) == 0
print(*sorted({"agentrun_client", "boto3", "httpx", "moto", "rich"} & set(sys.modules)))
"""


def test_a_token_waits_for_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    template = str(tmp_path / "template.yaml")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "token", "--template", template],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == [""]


def test_several_roles_may_follow_one_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = str(tmp_path / "template.yaml")
    assert main(["token", "--roles", "admin", "auditor", "--template", template]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert claims["roles"] == ["admin", "auditor"]
    assert main(["token", "auditor", "--template", template]) == 2


def test_ctrl_c_in_a_command_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agentrun_local.smoke.command.run_smoke", interrupted)
    assert main(["smoke"]) == 130
