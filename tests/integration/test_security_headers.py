"""Both functions send the security headers with every answer."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from agentrun.http.middleware import SECURITY_HEADERS
from tests.integration.conftest import AppModule, Bearer, event_file

RUNS = "/api/agents/echo/runs"
PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
REQUESTS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "a run": (200, "POST", RUNS, {"json": {"message": "hi"}}),
    "a run that fails": (502, "POST", RUNS, {"json": {"message": "/fail"}}),
    "an invalid body": (400, "POST", RUNS, {"json": {}}),
    "no such path": (404, "GET", "/", {}),
    "no such method": (405, "PUT", RUNS, {}),
    "a preflight": (200, "OPTIONS", RUNS, {"headers": PREFLIGHT}),
}


def secured(headers: Any) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    return {name: lowered.get(name.lower(), "absent") for name in SECURITY_HEADERS}


@pytest.mark.parametrize("name", list(REQUESTS))
def test_the_stream_functions_answers_have_them(
    stream: TestClient, bearer: Bearer, name: str
) -> None:
    status, method, path, said = REQUESTS[name]
    headers = bearer() | said.get("headers", {})
    answer = stream.request(method, path, **(said | {"headers": headers}))
    assert answer.status_code == status
    assert secured(answer.headers) == SECURITY_HEADERS


def test_an_answer_to_nobody_has_them(stream: TestClient) -> None:
    answer = stream.post(RUNS, json={"message": "hi"})
    assert answer.status_code == 401
    assert secured(answer.headers) == SECURITY_HEADERS


def test_a_stream_has_them_and_its_own_word_to_caches(stream: TestClient, bearer: Bearer) -> None:
    answer = stream.post(f"{RUNS}/stream", json={"message": "hi"}, headers=bearer())
    its_own = {"Cache-Control": "no-cache, no-transform"}
    assert secured(answer.headers) == SECURITY_HEADERS | its_own


@pytest.mark.parametrize("name", ["health", "list-agents", "get-run", "list-sessions"])
def test_the_status_functions_answers_have_them(app_module: AppModule, name: str) -> None:
    answer = app_module("status").handler(event_file(f"{name}.json"), None)
    assert answer["statusCode"] in {200, 404}
    assert secured(answer["headers"]) == SECURITY_HEADERS
