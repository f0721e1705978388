"""A run from end to end, through both doors, over real sockets and processes."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import LocalStack
from tests.e2e.sse import content, started_run, whole_run

ECHO = "/api/agents/echo/runs"
DOORS = ["rest_api", "function_url"]


@pytest.fixture(scope="module")
def rest(local_stack: LocalStack) -> Iterator[httpx.Client]:
    with local_stack.client() as client:
        yield client


def poll(client: httpx.Client, run_ids: list[str], agent: str = "echo") -> httpx.Response:
    query = {"runIds": ",".join(run_ids)}
    return client.get(f"/api/agents/{agent}/runs/status", params=query)


@pytest.mark.parametrize("door", DOORS)
def test_an_agent_thinks_calls_a_tool_and_answers(local_stack: LocalStack, door: str) -> None:
    with local_stack.client(door) as client:
        _, frames = whole_run(client, "What is 17 * 23?", "analyst")
    types = [frame.event for frame in frames]
    assert types[0] == "START"
    assert types[-2:] == ["METRICS", "STOP"]
    assert types.index("REASONING_DELTA") < types.index("TOOL_START") < types.index("TOOL_END")
    assert "391" in content(frames)
    assert [frame.id for frame in frames] == list(range(1, len(frames) + 1))


@pytest.mark.parametrize("door", DOORS)
def test_frames_arrive_while_the_agent_still_runs(
    local_stack: LocalStack, rest: httpx.Client, door: str
) -> None:
    with (
        local_stack.client(door) as client,
        started_run(client, "/emit 12 every 100") as (answer, frames),
    ):
        path = f"{ECHO}/{answer.headers['x-run-id']}"
        assert next(frames).event == "START"
        assert rest.get(path).json()["status"] == "RUNNING"
        assert next(frames).event == "CONTENT_DELTA"
        assert rest.get(path).json()["status"] == "RUNNING"
        remaining = list(frames)
        assert remaining[-1].event == "STOP"
        ended = rest.get(path).json()
    assert ended["status"] == "COMPLETED"
    assert ended["output"].endswith(content(remaining))


def test_what_the_stream_says_the_status_confirms(rest: httpx.Client) -> None:
    message = "naïve 🧑‍🚀 \r\nnew\n\nline\u2028sep\u2029 \u0085 \u0000 end\t "
    run_id, frames = whole_run(rest, message)
    run = rest.get(f"{ECHO}/{run_id}").json()
    assert content(frames) == run["output"] == run["input"] == message
    assert run["status"] == "COMPLETED"


def test_a_thousand_deltas_come_through(rest: httpx.Client) -> None:
    run_id, frames = whole_run(rest, "/emit 1000")
    assert [frame.event for frame in frames].count("CONTENT_DELTA") == 1000
    assert rest.get(f"{ECHO}/{run_id}").json()["output"] == content(frames)


def test_ten_runs_are_polled_in_one_call(rest: httpx.Client) -> None:
    ids = [whole_run(rest, f"number {number}")[0] for number in range(10)]
    runs = poll(rest, ids).json()
    assert [run["id"] for run in runs] == ids
    assert [run["output"] for run in runs] == [f"number {number}" for number in range(10)]


def test_a_hundred_ids_are_taken_and_101_refused(rest: httpx.Client) -> None:
    known, _ = whole_run(rest, "known")
    unknown = [f"unknown-{number}" for number in range(100)]
    assert [run["id"] for run in poll(rest, [*unknown[:99], known]).json()] == [known]
    refused = poll(rest, [*unknown, known])
    assert refused.status_code == 400
    assert "101" in refused.json()["detail"]


REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", f"{ECHO}/stream", {"json": {"message": ""}}, 400, "invalid-request"),
    ("POST", f"{ECHO}/stream", {"content": b"{", "json_type": True}, 400, "invalid-request"),
    ("POST", "/api/agents/nobody/runs/stream", {"json": {"message": "m"}}, 404, ""),
    ("POST", f"{ECHO}/stream", {"json": {"message": "m"}, "no_token": True}, 401, "unauthorized"),
    ("POST", f"{ECHO}/stream", {"content": b"m"}, 415, "unsupported-media-type"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("method", "path", "request_", "status", "kind"), REFUSED)
def test_a_refusal_is_a_problem_before_any_byte(
    local_stack: LocalStack,
    door: str,
    method: str,
    path: str,
    request_: dict[str, Any],
    status: int,
    kind: str,
) -> None:
    options = dict(request_)
    headers = {"Content-Type": "application/json"} if options.pop("json_type", False) else {}
    with local_stack.client(door) as client:
        if options.pop("no_token", False):
            del client.headers["Authorization"]
        answer = client.request(method, path, headers=headers, **options)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:problem-type:{kind or 'resource-not-found'}"
    assert answer.json()["status"] == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


def test_agents_and_health_are_served(rest: httpx.Client) -> None:
    agents = {agent["id"]: agent for agent in rest.get("/api/agents").json()}
    assert {"analyst", "docs_assistant", "echo", "finance_agent"} <= set(agents)
    assert rest.get("/api/agents/echo").json() == agents["echo"]
    assert httpx.get(f"{rest.base_url}/api/v1/health").json() == {"status": "UP"}
