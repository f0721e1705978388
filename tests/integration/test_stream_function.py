"""The stream function: its routes on real parts, a table in this process excepted."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.conftest import AppModule, Bearer, event_file
from tests.sse_blocks import blocks


def frames(text: str) -> list[dict[str, Any]]:
    return [
        json.loads(line.removeprefix("data: "))
        for line in text.split("\n")
        if line.startswith("data: ")
    ]


def types_of(text: str) -> list[str]:
    return [frame["event"] for frame in frames(text)]


def test_a_stream_has_the_headers_of_one(stream: TestClient, bearer: Bearer) -> None:
    answer = stream.post("/api/agents/echo/runs/stream", json={"message": "hi"}, headers=bearer())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    start = json.loads(frames(answer.text)[0]["data"])
    assert start == {
        "runId": answer.headers["x-run-id"],
        "sessionId": answer.headers["x-session-id"],
        "agentId": "echo",
    }


def test_a_stream_goes_from_start_to_stop(stream: TestClient, bearer: Bearer) -> None:
    body = {"message": "What is 17 * 23?"}
    answer = stream.post("/api/agents/analyst/runs/stream", json=body, headers=bearer())
    types = types_of(answer.text)
    assert types[0] == "START"
    assert types[-2:] == ["METRICS", "STOP"]
    assert types.index("TOOL_START") < types.index("TOOL_END") < types.index("CONTENT_DELTA")
    assert "REASONING_DELTA" in types
    ids = [line for line in answer.text.split("\n") if line.startswith("id: ")]
    assert ids == [f"id: {number}" for number in range(1, len(types) + 1)]


def test_the_same_run_is_answered_once(stream: TestClient, bearer: Bearer) -> None:
    body = {"message": "What is 17 * 23?"}
    answer = stream.post("/api/agents/analyst/runs", json=body, headers=bearer())
    result = answer.json()
    assert answer.status_code == 200
    assert result["status"] == "COMPLETED"
    assert "391" in result["content"]
    assert result["tools"][0]["toolOutput"] == 391
    assert result["metrics"]["llmCalls"] == 2
    assert result["reasoningSteps"]


def test_a_run_that_failed_is_a_bad_gateway_with_its_id(stream: TestClient, bearer: Bearer) -> None:
    answer = stream.post("/api/agents/echo/runs", json={"message": "/fail"}, headers=bearer())
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:problem-type:run-failed"
    assert answer.json()["runId"]


def test_a_stream_that_failed_ends_in_error(stream: TestClient, bearer: Bearer) -> None:
    body = {"message": "/fail"}
    answer = stream.post("/api/agents/echo/runs/stream", json=body, headers=bearer())
    assert answer.status_code == 200
    assert types_of(answer.text)[-2:] == ["METRICS", "ERROR"]


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/event-stream;q=0"])
def test_a_continuation_is_one_answer(stream: TestClient, bearer: Bearer, accept: str) -> None:
    answer = decided(stream, bearer() | {"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["status"] == "COMPLETED"


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, Text/Event-Stream"])
def test_a_continuation_is_streamed_on_request(
    stream: TestClient, bearer: Bearer, accept: str
) -> None:
    answer = decided(stream, bearer() | {"Accept": accept})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    types = types_of(answer.text)
    assert (types[0], types[-1]) == ("START", "STOP")
    assert len(list(blocks(answer.content))) == len(types)


def decided(stream: TestClient, headers: dict[str, str]) -> Any:
    """Start a run that pauses, and continue it."""
    runs = "/api/agents/finance_agent/runs"
    paused = stream.post(runs, json={"message": "Buy 10 shares of AMZN"}, headers=headers).json()
    assert paused["status"] == "PAUSED"
    path = f"{runs}/{paused['runId']}/continue"
    return stream.post(path, json={"action": "REJECT"}, headers=headers)


MALFORMED: dict[str, tuple[bytes, list[str]]] = {
    "not JSON": (b"{", ["body"]),
    "no message": (b"{}", ["message"]),
    "empty message": (b'{"message":""}', ["message"]),
    "too hot": (b'{"message":"m","options":{"temperature":2.1}}', ["options.temperature"]),
    "no tokens": (b'{"message":"m","options":{"maxTokens":0}}', ["options.maxTokens"]),
    "unknown model": (b'{"message":"m","options":{"model":"x"}}', ["options.model"]),
    "two faults": (b'{"message":"","media":[{}]}', ["message", "media.0.type", "media.0.data"]),
}


@pytest.mark.parametrize("name", list(MALFORMED))
def test_a_malformed_body_is_refused_by_name(stream: TestClient, bearer: Bearer, name: str) -> None:
    content, fields = MALFORMED[name]
    headers = bearer() | {"Content-Type": "application/json"}
    answer = stream.post("/api/agents/echo/runs/stream", content=content, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:problem-type:invalid-request"
    assert answer.json()["instance"] == "/api/agents/echo/runs/stream"
    assert [param["name"] for param in answer.json()["invalidParams"]] == fields


def test_unknown_fields_are_ignored_and_old_names_taken(stream: TestClient, bearer: Bearer) -> None:
    session = "5f0a4c3e-8f3e-4d61-9d0c-2f1a7c9f0b11"
    body = {"message": "m", "session_id": session, "user_id": "ana", "org_id": "acme", "x": 1}
    answer = stream.post("/api/agents/echo/runs/stream", json=body, headers=bearer())
    assert answer.headers["x-session-id"] == session


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/stream"), ("POST", ""), ("GET", "/nothing/stream")]
)
def test_without_a_token_nothing_is_looked_at(stream: TestClient, method: str, path: str) -> None:
    answer = stream.request(method, f"/api/agents/echo/runs{path}", content=b"{")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:problem-type:unauthorized"


def test_two_authorization_headers_are_one_too_many(stream: TestClient, bearer: Bearer) -> None:
    header = ("Authorization", bearer()["Authorization"])
    answer = stream.post(
        "/api/agents/echo/runs/stream", json={"message": "m"}, headers=[header, header]
    )
    assert answer.status_code == 401


def test_a_reader_may_not_start_runs(stream: TestClient, bearer: Bearer) -> None:
    answer = stream.post(
        "/api/agents/echo/runs/stream",
        json={"message": "m"},
        headers=bearer(scope="runs:read", roles=[]),
    )
    assert answer.status_code == 403


def test_an_unknown_agent_is_refused_before_any_byte(stream: TestClient, bearer: Bearer) -> None:
    answer = stream.post("/api/agents/nobody/runs/stream", json={"message": "m"}, headers=bearer())
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:problem-type:resource-not-found"
    assert "x-run-id" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/agents/echo/runs/stream", 405),
        ("PUT", "/api/agents/echo/runs", 405),
        ("GET", "/api/agents", 404),
        ("POST", "/", 404),
    ],
)
def test_other_paths_and_methods_are_problems(
    stream: TestClient, bearer: Bearer, method: str, path: str, status: int
) -> None:
    answer = stream.request(method, path, headers=bearer())
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_scripts_of_the_named_origin_may_read_answers_and_errors(
    stream: TestClient, bearer: Bearer
) -> None:
    origin = {"Origin": "https://app.example"}
    for headers in (bearer() | origin, origin):
        answer = stream.post("/api/agents/echo/runs", json={"message": "m"}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-Run-Id" in answer.headers["access-control-expose-headers"]
    elsewhere = bearer() | {"Origin": "https://evil.example"}
    answer = stream.post("/api/agents/echo/runs", json={"message": "m"}, headers=elsewhere)
    assert "access-control-allow-origin" not in answer.headers


FILES = {
    "stream-run.json": 200,
    "stream-run-rest.json": 200,
    "sync-run.json": 200,
    "attach-run.json": 404,
    "continue-run.json": 404,
    "resolve-approval.json": 404,
}


@pytest.mark.parametrize("name", list(FILES))
def test_each_event_file_is_answered_buffered_where_the_runtime_is_absent(
    app_module: AppModule, name: str
) -> None:
    handler = app_module("stream").handler
    event = event_file(name)
    answer = handler(event, None)
    handler.close()
    assert answer["statusCode"] == FILES[name]
    said = "docs_assistant" if FILES[name] == 200 else event["path"]
    assert said in answer["body"]
