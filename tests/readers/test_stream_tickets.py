"""An EventSource as browsers have it reads a run with a ticket in its URL, through cuts, to 204."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.conftest import LocalStack
from tests.e2e.sse import frames_of
from tests.readers.proxy import Exchange, Fault, Proxy, running
from tests.readers.roster import NODE, READERS
from tests.readers.situations import BROKEN, ENDED_EARLY

SCRIPTS = {
    NODE / "left-open/ticket.mjs": "eventsource 5",
    NODE / "eventsource-3/left-open-ticket.mjs": "eventsource 3",
}
READER_TIMEOUT_S = 60
MESSAGE = "/emit 12 every 50"
ALL_IDS = [str(number) for number in range(1, 16)]
"""START, the deltas, METRICS and STOP."""

each_reader = pytest.mark.parametrize("script", SCRIPTS, ids=SCRIPTS.values())


@dataclass(frozen=True)
class Run:
    """A run that is under way, and a ticket for its stream."""

    path: str
    ticket: str
    target: str
    """Path and query of the ticket's URL."""


@pytest.fixture
def run(stack: LocalStack) -> Run:
    if lacking := next(each for each in READERS if each.name == "eventsource").missing():
        pytest.skip(lacking)
    user, runs = f"reader-{uuid4()}", "/api/agents/echo/runs"
    with (
        stack.client("function_url", user=user) as client,
        client.stream("POST", f"{runs}/stream", json={"message": MESSAGE}) as answer,
    ):
        list(islice(frames_of(answer.iter_raw()), 1))
        path = f"{runs}/{answer.headers['x-run-id']}"
    with stack.client(user=user) as client:
        issued = client.post(f"{path}/stream-ticket").json()
    assert issued["url"].startswith(f"{stack.function_url}{path}/stream?ticket=")
    return Run(path, issued["ticket"], issued["url"].removeprefix(stack.function_url))


@dataclass(frozen=True)
class Observed:
    """What a reader has handed on, what it asked for, and whether it ended by itself."""

    seen: Sequence[dict[str, Any]]
    requests: Sequence[Exchange]

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.seen]

    @property
    def statuses(self) -> list[int]:
        return [request.status for request in self.requests]


def read(stack: LocalStack, script: Path, target: str, *faults: Fault) -> Observed:
    """Let a reader read until it has closed its connection for good."""
    with running(Proxy(stack.function_url, faults, _nothing, _nothing)) as proxy:
        given = json.dumps({"url": f"{proxy.url}{target}"})
        command: list[str | Path] = ["node", NODE / "drive.mjs", script, given]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=READER_TIMEOUT_S, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return Observed([json.loads(line) for line in done.stdout.splitlines()], proxy.exchanges)


def _nothing(*_: object) -> None:
    return


@each_reader
def test_left_open_it_loses_nothing_through_cuts_and_stops_at_204(
    stack: LocalStack, run: Run, script: Path
) -> None:
    observed = read(stack, script, run.target, BROKEN, ENDED_EARLY)
    assert observed.ids == ALL_IDS
    assert observed.seen[-1]["event"] == "STOP"
    assert observed.statuses == [200, 200, 200, 204]
    cursors = [request.headers.get("last-event-id") for request in observed.requests]
    assert cursors == [None, "3", "5", "15"]
    assert not any("authorization" in request.headers for request in observed.requests)


@each_reader
def test_a_ticket_that_another_has_used_ends_it_for_good(
    stack: LocalStack, run: Run, script: Path
) -> None:
    assert read(stack, script, run.target).ids == ALL_IDS
    late = read(stack, script, run.target)
    assert (late.ids, late.statuses) == ([], [401])


def test_no_ticket_stands_in_a_log_of_a_function_or_a_door(stack: LocalStack, run: Run) -> None:
    script = next(iter(SCRIPTS))
    assert read(stack, script, run.target, BROKEN).statuses == [200, 200, 204]
    assert read(stack, script, run.target).statuses == [401]
    log = stack.log.read_text()
    assert f"GET {run.path}/stream 200" in log
    assert f"POST {run.path}/stream-ticket 201" in log
    assert "ticket refused" in log
    assert run.ticket not in log
