"""Runs that outlive their clients and their executors."""

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from threading import Barrier

import httpx
import pytest

from tests.e2e.conftest import LocalStack
from tests.e2e.processes import stream_processes_of
from tests.e2e.sse import Frame, attached, content, started_run, whole_run

ECHO = "/api/agents/echo/runs"
CUT_RUNS = 42
CUTS = 206
"""Each run's cuts are drawn by its number: the same at every time."""
LONG = "/emit 150 every 20"
"""It lasts for longer than any of its executors that are killed."""
KILLS = 5
RUNS_A_KILL = 10


@pytest.fixture(scope="module")
def rest(local_stack: LocalStack) -> Iterator[httpx.Client]:
    with local_stack.client() as client:
        yield client


def test_a_run_outlives_its_client(rest: httpx.Client) -> None:
    with started_run(rest, "/emit 20 every 50") as (answer, frames):
        run_id = answer.headers["x-run-id"]
        assert next(frames).event == "START"
    with attached(rest, run_id) as replayed:
        seen = list(replayed)
    assert seen[-1].event == "STOP"
    assert [frame.id for frame in seen] == list(range(1, 24))
    assert rest.get(f"{ECHO}/{run_id}").json()["output"] == content(seen)


def test_cuts_lose_nothing_and_repeat_nothing(local_stack: LocalStack) -> None:
    def cut_again_and_again(number: int) -> tuple[int, list[bytes], list[bytes]]:
        chance = random.Random(number)
        cuts, seen = 0, list[Frame]()
        with local_stack.client("rest_api" if number % 2 else "function_url") as client:
            with started_run(client, "/emit 60 every 15") as (answer, frames):
                run_id = answer.headers["x-run-id"]
                seen += islice(frames, chance.randint(1, 20))
            while seen[-1].event != "STOP":
                cuts += 1
                with attached(client, run_id, seen[-1].id) as frames:
                    for frame in frames:
                        seen.append(frame)
                        if chance.random() < 0.08:
                            break
            with attached(client, run_id) as frames:
                return cuts, [frame.raw for frame in seen], [frame.raw for frame in frames]

    with ThreadPoolExecutor(8) as clients:
        results = list(clients.map(cut_again_and_again, range(CUT_RUNS)))
    for _, seen, replayed in results:
        assert seen == replayed
        assert len(seen) == 63
    assert sum(cuts for cuts, _, _ in results) == CUTS


def test_several_readers_see_the_same_run(local_stack: LocalStack, rest: httpx.Client) -> None:
    def read(run_id: str) -> list[bytes]:
        with local_stack.client() as client, attached(client, run_id) as frames:
            return [frame.raw for frame in frames]

    with (
        ThreadPoolExecutor(4) as readers,
        started_run(rest, "/emit 30 every 20") as (answer, frames),
    ):
        readings = readers.map(read, [answer.headers["x-run-id"]] * 4)
        live = [frame.raw for frame in frames]
        assert list(readings) == [live] * 4


def test_a_cancelled_run_ends_for_everybody_with_what_it_had(rest: httpx.Client) -> None:
    with started_run(rest, "/emit 600 every 50") as (answer, frames):
        run_id = answer.headers["x-run-id"]
        seen = [next(frames), next(frames)]
        asked_at = time.monotonic()
        assert rest.delete(f"{ECHO}/{run_id}").status_code == 204
        seen += frames
        ended_after_s = time.monotonic() - asked_at
    assert [frame.event for frame in seen[-2:]] == ["METRICS", "CANCELLED"]
    run = rest.get(f"{ECHO}/{run_id}").json()
    assert (run["status"], run["output"]) == ("CANCELLED", content(seen))
    with attached(rest, run_id) as replayed:
        assert [frame.raw for frame in replayed] == [frame.raw for frame in seen]
    assert rest.delete(f"{ECHO}/{run_id}").status_code == 204
    # The contract's own bound, not a measurement: half a minute of deltas was still to come.
    assert ended_after_s < 10


def test_a_process_that_is_told_to_end_leaves_a_run_that_ends(
    local_stack: LocalStack, rest: httpx.Client
) -> None:
    seen: list[Frame] = []
    with started_run(rest, LONG) as (answer, frames):
        run_id = answer.headers["x-run-id"]
        seen += islice(frames, 10)
        for pid in stream_processes_of(local_stack):
            os.kill(pid, signal.SIGTERM)
        # Within 0.3 s it can say the end, or it cannot, and the stream breaks off.
        with suppress(httpx.RemoteProtocolError):
            seen += frames
    said_its_end = seen[-1].event == "ERROR"
    replayed = replay(local_stack, run_id)
    run = rest.get(f"{ECHO}/{run_id}").json()
    if said_its_end:
        assert (run["status"], run["errorType"]) == ("FAILED", "EXECUTOR_STOPPED")
        assert [frame.raw for frame in replayed] == [frame.raw for frame in seen]
        assert run["output"] == content(seen)
    else:
        assert (run["status"], replayed[-1].event) == ("COMPLETED", "STOP")


def run_until_killed(stack: LocalStack, started: Barrier) -> tuple[str, list[bytes]]:
    """Start a run and read it until its executor dies; return its id and what was seen."""
    seen: list[bytes] = []
    with stack.client() as client, started_run(client, LONG) as (answer, frames):
        seen.append(next(frames).raw)
        started.wait()
        with pytest.raises(httpx.RemoteProtocolError):
            seen += (frame.raw for frame in frames)
        return answer.headers["x-run-id"], seen


def replay(stack: LocalStack, run_id: str) -> list[Frame]:
    with stack.client() as client, attached(client, run_id) as frames:
        return list(frames)


def test_runs_whose_executors_were_killed_are_finished_for_their_readers(
    local_stack: LocalStack, rest: httpx.Client
) -> None:
    chance = random.Random(11)
    left: list[tuple[str, list[bytes]]] = []
    with ThreadPoolExecutor(RUNS_A_KILL) as clients:
        for _ in range(KILLS):
            started = Barrier(RUNS_A_KILL + 1)
            runs = [
                clients.submit(run_until_killed, local_stack, started) for _ in range(RUNS_A_KILL)
            ]
            started.wait()
            # The moment of death is the point, not a wait for something to happen.
            time.sleep(chance.uniform(0, 1.5))
            for pid in stream_processes_of(local_stack):
                os.kill(pid, signal.SIGKILL)
            left += (run.result() for run in runs)
    assert whole_run(rest, "served at once")[1][-1].event == "STOP"
    whole = content(whole_run(rest, LONG)[1])
    with ThreadPoolExecutor(10) as clients:
        replays = list(clients.map(lambda run: replay(local_stack, run[0]), left))
    for (_, seen), replayed in zip(left, replays, strict=True):
        again = [frame.event for frame in replayed].index("STEP_RESET")
        stored, begun, after = replayed[: again - 1], replayed[again - 1], replayed[again + 1 :]
        assert (begun.event, begun.id) == ("START", len(stored) + 1_000_000)
        # A client may have died with its socket full, so the log may also know more than it saw.
        both = min(len(stored), len(seen))
        assert [frame.raw for frame in stored[:both]] == seen[:both]
        assert (content(after), after[-1].event) == (whole, "STOP")
    ids = [run_id for run_id, _ in left]
    states = rest.get(f"{ECHO}/status", params={"runIds": ids}).json()
    assert [state["id"] for state in states] == ids
    assert {(state["status"], state["attempt"]) for state in states} == {("COMPLETED", 2)}
    assert {state["output"] for state in states} == {whole}
    assert rest.get(f"{ECHO}/{ids[0]}").json() == states[0]
