"""`agentrun runs` on the local stack."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest

from agentrun_local.cli import main
from tests.e2e.conftest import LocalStack, wait_until

LONG = "/emit 600 every 100"


@dataclass(frozen=True)
class Organisation:
    """Callers of an organisation of their own, in which nothing else runs."""

    stack: LocalStack
    name: str

    def token(self, user: str = "root", roles: Sequence[str] = ("admin",)) -> str:
        return self.stack.token(user=user, org=self.name, roles=roles)

    def begin(self, user: str, message: str = LONG, agent: str = "echo") -> str:
        """Begin a run and leave it, which does not end it."""
        headers = {"Content-Type": "application/json"}
        with (
            self.stack.client("function_url", user=user, org=self.name) as client,
            client.stream(
                "POST",
                f"/api/agents/{agent}/runs/stream",
                json={"message": message},
                headers=headers,
            ) as answer,
        ):
            assert answer.status_code == 200
            next(answer.iter_lines())
            return answer.headers["x-run-id"]

    def status(self, run_id: str) -> str:
        with self.stack.client(user="root", org=self.name, roles=["admin"]) as client:
            status: str = client.get(f"/api/v1/runs/{run_id}").json()["status"]
            return status

    def command(self, *arguments: str, token: str | None = None) -> int:
        where = ("--base-url", self.stack.rest_api, "--token", token or self.token())
        return main(["runs", arguments[0], *where, *arguments[1:]])


@pytest.fixture
def organisation(local_stack: LocalStack) -> Organisation:
    return Organisation(local_stack, f"org-{uuid4()}")


def test_runs_are_listed_shown_and_stopped(
    organisation: Organisation, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = organisation.begin("ana"), organisation.begin("bob")
    assert organisation.command("list", "--json", "--status", "RUNNING") == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [run["id"] for run in listed] == [second, first]
    assert organisation.command("list", "--limit", "1") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "status", "agentId", "userId", "createdAt", "input"]
    assert line.split()[:4] == [second, "RUNNING", "echo", "bob"]
    assert line.endswith(LONG)
    assert organisation.command("get", first) == 0
    assert json.loads(capsys.readouterr().out)["userId"] == "ana"
    assert organisation.command("stop", first, second) == 0
    assert capsys.readouterr().out == "asked 2 runs to end\n"
    ended = {"CANCELLED"}
    wait_until(lambda: {organisation.status(run) for run in (first, second)} == ended, "cancelled")
    assert organisation.command("cancel", first) == 0
    told = f"the run '{first}' had ended already: CANCELLED\nasked 0 runs to end\n"
    assert capsys.readouterr().out == told


def test_everything_under_way_is_stopped_page_by_page(
    organisation: Organisation,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentrun_client.sync.runs.PAGE_SIZE", 1)
    running = [organisation.begin(user) for user in ("ana", "ana", "bob")]
    paused = organisation.begin("bob", "Buy 1 share of AMZN", "finance_agent")
    wait_until(lambda: organisation.status(paused) == "PAUSED", "paused")
    assert organisation.command("stop", "--all", "--within", "30") == 0
    told = capsys.readouterr()
    assert told.out == "stopped 4 runs\n"
    assert f"stopping {paused}, PAUSED, of bob" in told.err
    assert {organisation.status(run_id) for run_id in (*running, paused)} == {"CANCELLED"}
    assert organisation.command("stop", "--all") == 0
    assert capsys.readouterr().out == "stopped 0 runs\n"


def test_who_is_no_admin_stops_their_own_runs(
    organisation: Organisation, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = organisation.begin("ana"), organisation.begin("bob")
    ana = organisation.token("ana", roles=())
    assert organisation.command("stop", other, mine, token=ana) == 1
    told = capsys.readouterr().out
    assert told.splitlines() == [
        f"not stopped: the run '{other}': 404 There is no run '{other}'.",
        "asked 1 run to end",
    ]
    assert organisation.command("stop", "--all", token=ana) == 0
    assert organisation.status(other) == "RUNNING"
    assert organisation.command("stop", other) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("stop",), 2, "takes the ids of runs, or --all"),
        (("stop", "--all", "run-1"), 2, "takes the ids of runs, or --all"),
        (("get", "no-such-run"), 5, "404 There is no run 'no-such-run'."),
        (("list", "--token", "wrong"), 5, "401"),
        (("list", "--base-url", "http://127.0.0.1:1"), 6, "does not answer"),
        (("list", "--base-url", "nothing"), 2, "is no base URL"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    organisation: Organisation,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    assert organisation.command(*arguments) == status
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("agentrun: ")
    assert told.count("\n") == 1
