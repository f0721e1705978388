"""Caps on concurrent runs, with many callers at once and executors that die."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from tests.e2e.conftest import ROOT, LocalStack, running_stack, wait_until
from tests.e2e.processes import stream_processes_of
from tests.e2e.sse import whole_run

RUNS = "/api/agents/echo/runs/stream"
CAP = 10
CALLERS = 100
HEALED_WITHIN_S = 90
"""The leases of dead executors lapse within 17 s; the rest is for a slow machine."""


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    parameter = ("--parameter", f"MaxRunsPerUser={CAP}")
    with running_stack(
        ROOT / "template.yaml", tmp_path_factory.mktemp("capped"), *parameter
    ) as stack:
        yield stack


class Crowd:
    """Many callers who start a long run each at the same moment."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._barrier = Barrier(CALLERS)
        self.refused: list[httpx.Response] = []
        self.started: list[str] = []

    def call(self, number: int) -> None:
        """Start a run and read it until its executor dies, unless it is refused."""
        door = "rest_api" if number % 2 else "function_url"
        with self._stack.client(door) as client:
            client.timeout = httpx.Timeout(HEALED_WITHIN_S)
            self._barrier.wait()
            # A store that does not keep up is no answer; DynamoDB's stand-in takes one by one.
            while self._try(client) == httpx.codes.SERVICE_UNAVAILABLE:
                pass

    def _try(self, client: httpx.Client) -> int:
        with client.stream("POST", RUNS, json={"message": "/emit 3000 every 100"}) as answer:
            if answer.status_code == httpx.codes.OK:
                self.started.append(answer.headers["x-run-id"])
                with suppress(httpx.RemoteProtocolError, httpx.ReadError):
                    for _ in answer.iter_raw():
                        pass
            elif answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                answer.read()
                self.refused.append(answer)
            return answer.status_code

    def has_been_answered(self) -> bool:
        return len(self.refused) + len(self.started) == CALLERS


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")
def test_a_cap_holds_in_a_crowd_and_the_dead_give_their_places_back(capped: LocalStack) -> None:
    crowd = Crowd(capped)
    with ThreadPoolExecutor(CALLERS) as callers:
        calls: list[Future[None]] = [callers.submit(crowd.call, n) for n in range(CALLERS)]
        try:
            wait_until(crowd.has_been_answered, "everybody has an answer")
            assert len(crowd.started) == CAP
            assert {answer.status_code for answer in crowd.refused} == {429}
            check_refusals(crowd.refused)
            with capped.client(user="somebody-else") as other:
                assert whole_run(other, "not in the way")[1][-1].event == "STOP"
        finally:
            killed_at = time.monotonic()
            for pid in stream_processes_of(capped):
                os.kill(pid, signal.SIGKILL)
        for call in calls:
            call.result()
    with capped.client() as client:
        # Others would go on with them; one that is to be cancelled needs nobody for that.
        for run_id in crowd.started:
            assert client.delete(f"/api/agents/echo/runs/{run_id}").status_code == 204
        for _ in range(CAP + 1):
            run_when_there_is_room(client, until=killed_at + HEALED_WITHIN_S)
        asked = {"runIds": ",".join(crowd.started)}

        def are_all_over() -> bool:
            states = client.get("/api/agents/echo/runs/status", params=asked).json()
            return {state["status"] for state in states} == {"CANCELLED"}

        # Their last heartbeats were not at the same moment.
        wait_until(are_all_over, "all of the killed are declared dead")


def check_refusals(answers: list[httpx.Response]) -> None:
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        problem = answer.json()
        assert problem["type"] == "urn:problem-type:too-many-runs"
        assert problem["detail"] == f"A user may have at most {CAP} runs under way."


def run_when_there_is_room(client: httpx.Client, *, until: float) -> None:
    """Start a short run again and again until it is let in, and read it to its end."""
    while True:
        answer = client.post(RUNS, json={"message": "room at last"})
        if answer.status_code == 200:
            assert '"STOP"' in answer.text
            return
        assert answer.status_code == 429
        assert time.monotonic() < until, "the dead have kept their slots"
        time.sleep(0.2)
