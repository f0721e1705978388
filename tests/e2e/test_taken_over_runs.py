"""What people may do with runs whose executor was lost, or that nobody streams."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import httpx
import pytest

from agentrun.domain.runs import RunStatus
from tests.e2e.conftest import wait_until
from tests.e2e.processes import processes_of
from tests.e2e.sse import Frame, attached, content, frames_of
from tests.endurance.stack import AGENT, EnduranceStack, endurance_stack

RUNS = f"/api/agents/{AGENT}/runs"
CANCELLED_WITHIN_S = 3
TAKEN_OVER_WITHIN_S = 20


@dataclass(frozen=True)
class Started:
    run_id: str
    session_id: str


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnduranceStack]:
    scratch = tmp_path_factory.mktemp("taken_over")
    with endurance_stack(scratch, variables={"AGENTRUN_DEMO_DELAY_MS": "20"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: EnduranceStack) -> Iterator[httpx.Client]:
    with stack.local.client() as client:
        client.timeout = httpx.Timeout(60)
        yield client


ANSWERS = {
    "rejected": {"action": "REJECT"},
    "known": {"action": "APPROVE", "result": "somebody knows"},
    "approved": {"action": "APPROVE"},
}
"""What may be said of a call that may have run."""


@pytest.fixture(scope="module")
def lost(stack: EnduranceStack, client: httpx.Client) -> dict[str, Started]:
    """Begin runs, and kill each one's executor, all at the same time."""
    messages = {"cancelled": call(lasts_s=60), "awaited": call(lasts_s=5)}
    messages |= {name: call("act_once", lasts_s=5) for name in ANSWERS}
    with ThreadPoolExecutor() as starters:
        runs = starters.map(partial(start_and_kill, stack, client), messages.values())
        return dict(zip(messages, runs, strict=True))


def start_and_kill(stack: EnduranceStack, client: httpx.Client, message: str) -> Started:
    run = start(client, message)
    wait_until(lambda: bool(stack.effects(run.run_id)), "its tool has had its effect")
    assert stack.kill(run.session_id)
    return run


def call(tool: str = "look", *, lasts_s: float) -> str:
    """Ask for a tool that has its effect at once, and then takes so long."""
    return f'/call {tool} {{"step": 1, "before_s": 0, "after_s": {lasts_s}}}'


def start(client: httpx.Client, message: str) -> Started:
    """Begin a run, and go away as soon as it has begun."""
    session_id = str(uuid4())
    body = {"message": message, "sessionId": session_id}
    with client.stream("POST", f"{RUNS}/stream", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert next(frames_of(answer.iter_raw())).event == "START"
        return Started(answer.headers["x-run-id"], session_id)


def start_in_background(client: httpx.Client, message: str) -> str:
    answer = client.post(f"{RUNS}/background", json={"message": message})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["runId"])


def read(stack: EnduranceStack, run_id: str) -> list[Frame]:
    with stack.local.client() as client:
        client.timeout = httpx.Timeout(60)
        with attached(client, run_id, agent=AGENT) as frames:
            return list(frames)


def test_a_sessions_next_message_waits_for_the_run_that_is_taken_over(
    stack: EnduranceStack, client: httpx.Client, lost: dict[str, Started]
) -> None:
    run = lost["awaited"]
    body = {"message": call(lasts_s=0), "sessionId": run.session_id}
    assert client.post(f"{RUNS}/stream", json=body).status_code == 409
    with ThreadPoolExecutor() as readers:
        reading = readers.submit(read, stack, run.run_id)
        enqueue = {"X-Session-Policy": "enqueue"}
        with client.stream("POST", f"{RUNS}/stream", json=body, headers=enqueue) as answer:
            frames = list(frames_of(answer.iter_raw()))
            next_id = answer.headers["x-run-id"]
    assert reading.result()[-1].event == frames[-1].event == "STOP"
    first, second = stack.now(run.run_id), stack.now(next_id)
    assert (first.attempt, second.attempt) == (2, 1)
    assert first.completed_at is not None
    # The next one's executor began when the session was free.
    (tool,) = (frame for frame in frames if frame.event == "TOOL_START")
    assert tool.timestamp >= first.completed_at.timestamp() * 1000
    runs = client.get(f"/api/sessions/{run.session_id}/runs").json()
    assert [(one["id"], one["status"]) for one in runs] == [
        (run.run_id, "COMPLETED"),
        (next_id, "COMPLETED"),
    ]


def test_a_run_that_was_taken_over_is_cancelled_in_time(
    client: httpx.Client, lost: dict[str, Started]
) -> None:
    run_id = lost["cancelled"].run_id
    seen = []
    with attached(client, run_id, agent=AGENT) as frames:
        for frame in frames:
            seen.append(frame.event)
            if frame.event == "STEP_RESET":
                asked_at = time.monotonic()
                assert client.delete(f"{RUNS}/{run_id}").status_code == 204
        took_s = time.monotonic() - asked_at
    assert seen[-2:] == ["METRICS", "CANCELLED"]
    assert took_s < CANCELLED_WITHIN_S
    assert client.get(f"{RUNS}/{run_id}").json()["status"] == "CANCELLED"


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_call_that_may_have_run_is_decided_by_somebody(
    stack: EnduranceStack, client: httpx.Client, lost: dict[str, Started], answer: str
) -> None:
    run_id = lost[answer].run_id
    pause = read(stack, run_id)[-1]
    assert pause.event == "PAUSED"
    assert pause.object["type"] == "TOOL_IN_DOUBT"
    (pending,) = pause.object["approvals"]
    decisions = {"decisions": [{"id": pending["id"], **ANSWERS[answer]}]}
    ended = client.post(f"{RUNS}/{run_id}/continue", json=decisions).json()
    assert ended["status"] == "COMPLETED"
    assert [effects.count for effects in stack.effects(run_id)] == [1 + (answer == "approved")]
    assert ("somebody knows" in ended["content"]) == (answer == "known")
    assert ("step 1 is done" in ended["content"]) == (answer == "approved")


def test_a_run_in_the_background_is_cancelled_in_time(
    stack: EnduranceStack, client: httpx.Client
) -> None:
    run_id = start_in_background(client, call(lasts_s=60))
    session_id = stack.now(run_id).session_id
    wait_until(lambda: stack.executor_of(session_id) is not None, "a worker has it")
    asked_at = time.monotonic()
    assert client.delete(f"{RUNS}/{run_id}").status_code == 204
    wait_until(lambda: stack.now(run_id).status is RunStatus.CANCELLED, "it has ended")
    assert time.monotonic() - asked_at < CANCELLED_WITHIN_S


def test_a_run_in_the_background_waits_for_its_approval(
    stack: EnduranceStack, client: httpx.Client
) -> None:
    run_id = start_in_background(client, call("act_approved", lasts_s=0))
    wait_until(lambda: stack.now(run_id).status is RunStatus.PAUSED, "it waits")
    (waiting,) = [
        one
        for one in client.get("/api/v1/approvals/pending").json()["content"]
        if one["runId"] == run_id
    ]
    assert stack.effects(run_id) == []
    resolve = f"/api/v1/approvals/{waiting['approvalId']}/resolve"
    assert client.post(resolve, json={"decision": "APPROVED"}).json()["status"] == "RUNNING"
    wait_until(lambda: stack.now(run_id).status is RunStatus.COMPLETED, "it goes on")
    assert [effect.count for effect in stack.effects(run_id)] == [1]
    frames = read(stack, run_id)
    assert [frame.event for frame in frames if frame.event in {"PAUSED", "STOP"}] == [
        "PAUSED",
        "STOP",
    ]
    assert content(frames) == stack.now(run_id).output


def test_a_run_goes_on_when_the_status_function_is_killed(
    stack: EnduranceStack, client: httpx.Client
) -> None:
    message = {"message": call(lasts_s=1)}
    with client.stream("POST", f"{RUNS}/stream", json=message) as answer:
        frames, status = frames_of(answer.iter_raw()), f"{RUNS}/{answer.headers['x-run-id']}"
        seen = [next(frames)]
        (pid,) = processes_of(stack.local, "StatusFunction")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: client.get(status).status_code == 200, "a new process answers")
        seen += frames
    assert [frame.id for frame in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].event == "STOP"
    assert client.get(status).json()["output"] == content(seen)
