"""A login whose token is refused before it expires, in real processes of the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from agentrun_local.machine.identity import DevIdentity
from tests.device_issuer import DeviceIssuer, running_device_issuer
from tests.e2e.conftest import LocalStack
from tests.http_server import answering, send, served

AGENTRUN = [sys.executable, "-m", "agentrun_local.cli"]


@dataclass(frozen=True)
class User:
    """Somebody who is logged in to a deployment by an issuer."""

    home: Path
    issuer: DeviceIssuer

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*AGENTRUN, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def does(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command, and return its exit status and what it printed."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def log_in(self, base_url: str) -> None:
        where = ("--base-url", base_url, "--issuer", self.issuer.url, "--client-id", "cli")
        status, _, err = self.does("login", "--profile", "live", *where)
        assert status == 0, err
        assert self.does("profiles", "use", "live")[0] == 0

    @property
    def login(self) -> dict[str, Any]:
        file = self.home / ".local" / "state" / "agentrun" / "live.json"
        stored: dict[str, Any] = json.loads(file.read_text())
        return stored

    @property
    def refreshes(self) -> list[str]:
        forms = self.issuer.forms("/token")
        return [form["refresh_token"] for form in forms if "refresh_token" in form]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with running_device_issuer() as issuer:
        yield User(tmp_path, issuer)


@contextmanager
def refusing_together(token: str, readers: int) -> Iterator[str]:
    """Serve an API that refuses a token once `readers` have sent it; every other one will do."""
    together = Barrier(readers, timeout=60)

    def answer(asked: BaseHTTPRequestHandler) -> None:
        is_refused = asked.headers["Authorization"] == f"Bearer {token}"
        if is_refused:
            together.wait()
        send(asked, *((401, b"{}") if is_refused else (200, b"[]")))

    with served(answering(answer)) as url:
        yield url


def test_a_token_of_a_retired_key_is_refreshed_and_the_run_goes_on(
    user: User, local_stack: LocalStack, tmp_path: Path
) -> None:
    retired = DevIdentity(tmp_path / "retired")
    user.issuer.token = lambda number: retired.token() if number == 1 else local_stack.token()
    user.log_in(local_stack.rest_api)
    status, out, err = user.does("run", "echo", "Hello")
    assert (status, out) == (0, "Hello"), err
    assert user.refreshes == ["refresh-1"]
    # The next command has the fresh one from the start.
    assert user.does("sessions", "list")[0] == 0
    assert user.refreshes == ["refresh-1"]


def test_a_deployment_that_refuses_every_token_is_said_after_one_refresh(
    user: User, local_stack: LocalStack, tmp_path: Path
) -> None:
    stranger = DevIdentity(tmp_path / "stranger")
    user.issuer.token = lambda number: stranger.token()
    user.log_in(local_stack.rest_api)
    status, _, err = user.does("run", "echo", "Hello")
    assert status == 5
    assert "log in again: agentrun login --profile live" in err
    assert user.refreshes == ["refresh-1"]


def test_a_login_that_was_withdrawn_ends_with_what_to_do(
    user: User, local_stack: LocalStack, tmp_path: Path
) -> None:
    retired = DevIdentity(tmp_path / "retired")
    user.issuer.token = lambda number: retired.token()
    user.log_in(local_stack.rest_api)
    user.issuer.refusals["refresh_token"] = "invalid_grant"
    status, _, err = user.does("run", "echo", "Hello")
    assert status == 5
    assert err == (
        "agentrun: the login has expired or was withdrawn;"
        " log in again: agentrun login --profile live\n"
    )


def test_two_processes_that_are_refused_together_refresh_once(user: User) -> None:
    with refusing_together("access-1", 2) as api:
        user.log_in(api)
        both = [user.start("agents", "--json") for _ in range(2)]
        said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert user.refreshes == ["refresh-1"]
    assert user.login["refresh_token"] == "refresh-2"
    assert user.login["access_token"] == "access-2"
