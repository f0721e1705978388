"""Many runs are polled together, as long as one of them may change."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from agentrun_cli.errors import ExitStatus
from agentrun_cli.running.status_board import StatusBoard
from agentrun_client import NotFoundError, Problem, Run, RunStatus

AT = datetime(2026, 11, 30, tzinfo=UTC)


class Runs:
    """Answers each poll with the next statuses, and counts the requests."""

    def __init__(self, agents: Mapping[str, str], *polls: Mapping[str, RunStatus]) -> None:
        self._agents = agents
        self._polls = list(polls)
        self._now: dict[str, RunStatus] = {}
        self.asked: list[tuple[str, Sequence[str]]] = []
        self.looked_up = 0

    def get(self, run_id: str) -> Run:
        self.looked_up += 1
        if run_id not in self._agents:
            raise NotFoundError(Problem(404, "t", "Not found", run_id))
        return self._run(run_id, "QUEUED")

    def get_many(self, agent: str, run_ids: Sequence[str], fields: str) -> dict[str, Run]:
        assert fields == "summary"
        self.asked.append((agent, run_ids))
        return {run_id: self._run(run_id, self._now[run_id]) for run_id in run_ids}

    def next_poll(self) -> None:
        self._now |= self._polls.pop(0)

    def _run(self, run_id: str, status: RunStatus) -> Run:
        return Run(run_id, self._agents[run_id], "s", "ana", "acme", status, AT, AT, 1, 1)


def watched(runs: Runs, run_ids: Sequence[str], agent: str | None = None) -> StatusBoard:
    """Poll until nothing is under way."""
    client: Any = SimpleNamespace(runs=runs)
    board = StatusBoard(client, run_ids, agent, sleep=lambda seconds: None)
    runs.next_poll()
    board.poll()
    while board.goes_on:
        board.wait()
        runs.next_poll()
        board.poll()
    return board


def test_a_poll_is_one_request_for_all_runs_of_an_agent_that_may_change() -> None:
    agents = {"1": "echo", "2": "echo", "3": "analyst"}
    runs = Runs(
        agents,
        {"1": "RUNNING", "2": "COMPLETED", "3": "RUNNING"},
        {"1": "RUNNING", "3": "COMPLETED"},
        {"1": "COMPLETED"},
    )
    board = watched(runs, ["1", "2", "3"])
    assert runs.asked == [
        ("echo", ["1", "2"]),
        ("analyst", ["3"]),
        ("echo", ["1"]),
        ("analyst", ["3"]),
        ("echo", ["1"]),
    ]
    assert board.exit_status() is ExitStatus.DONE


def test_ten_runs_watched_for_a_minute_are_20_requests() -> None:
    agents = {str(number): "echo" for number in range(10)}
    under_way: dict[str, RunStatus] = dict.fromkeys(agents, "RUNNING")
    ended: dict[str, RunStatus] = dict.fromkeys(agents, "COMPLETED")
    runs = Runs(agents, *[under_way] * 19, ended)
    watched(runs, list(agents), agent="echo")
    assert (len(runs.asked), runs.looked_up) == (20, 0)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["COMPLETED", "CANCELLED"], ExitStatus.DONE),
        (["COMPLETED", "PAUSED"], ExitStatus.PAUSED),
        (["PAUSED", "FAILED"], ExitStatus.FAILED),
    ],
)
def test_the_exit_status_tells_of_the_worst(
    statuses: Sequence[RunStatus], status: ExitStatus
) -> None:
    ids = [str(number) for number in range(len(statuses))]
    runs = Runs(dict.fromkeys(ids, "echo"), dict(zip(ids, statuses, strict=True)))
    assert watched(runs, ids).exit_status() is status


def test_a_run_that_is_not_there_is_a_failure_and_is_not_asked_for_again() -> None:
    runs = Runs({"1": "echo"}, {"1": "COMPLETED"})
    assert watched(runs, ["1", "none"]).exit_status() is ExitStatus.FAILED
    assert runs.asked == [("echo", ["1"])]
