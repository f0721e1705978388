"""A token command runs once for as long as its token is good."""

import shlex
import sys
from pathlib import Path

import jwt
import pytest

from agentrun_cli.connection.tokens import CommandToken, expiry_of
from agentrun_cli.errors import CommandError, UsageError


def counting(folder: Path, expires_at: int) -> str:
    """Return a command that prints a JWT, and notes in a file that it has."""
    token = jwt.encode({"exp": expires_at}, "k" * 32)
    program = f"open({str(folder / 'runs')!r}, 'a').write('x'); print({token!r})"
    return shlex.join([sys.executable, "-c", program])


def test_the_command_runs_again_once_its_token_has_expired(tmp_path: Path) -> None:
    now = 1000.0
    source = CommandToken(counting(tmp_path, 2000), clock=lambda: now)
    assert source() == source()
    assert (tmp_path / "runs").read_text() == "x"
    now = 1939.0
    source()
    assert (tmp_path / "runs").read_text() == "x"
    now = 1940.0
    source()
    assert (tmp_path / "runs").read_text() == "xx"


def test_the_command_runs_again_once_its_token_is_refused(tmp_path: Path) -> None:
    source = CommandToken(counting(tmp_path, 2000), clock=lambda: 1000.0)
    source.refused("another")
    source.refused(source())
    assert source() == source()
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_token_that_does_not_say_when_it_expires_is_asked_for_every_time(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "runs"
    program = f"open({str(notes)!r}, 'a').write('x'); print('opaque')"
    source = CommandToken(shlex.join([sys.executable, "-c", program]))
    assert (source(), source()) == ("opaque", "opaque")
    assert notes.read_text() == "xx"


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        ("/no/such/program", UsageError, "cannot be run"),
        ("echo 'a", UsageError, "cannot be run"),
        ("", UsageError, "cannot be run"),
        ("false", CommandError, "exit status 1"),
        ("true", CommandError, "a token and nothing else"),
        ("echo two words", CommandError, "a token and nothing else"),
    ],
)
def test_a_command_that_gives_no_token_is_an_error_without_its_output(
    command: str, error: type[CommandError], said: str
) -> None:
    with pytest.raises(error, match=said) as raised:
        CommandToken(command)()
    assert "words" not in str(raised.value)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.e30.c", "a.W10.c", ""])
def test_what_is_no_jwt_with_an_expiry_has_none(token: str) -> None:
    assert expiry_of(token) is None
