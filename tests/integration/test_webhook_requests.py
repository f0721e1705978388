"""A webhook that could not be told is refused with the request that names it."""

from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.integration.conftest import AppModule, Bearer

RUNS = "/api/agents/echo/runs"
PATHS = [RUNS, f"{RUNS}/stream", f"{RUNS}/background"]


def refused(answer: Response) -> list[dict[str, str]]:
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["type"] == "urn:problem-type:invalid-request"
    params: list[dict[str, str]] = problem["invalidParams"]
    return params


@pytest.mark.parametrize(
    ("webhook", "at_fault"),
    [
        ({"url": "https://a.example/", "events": ["run.stopped"]}, "webhook.events.0"),
        ({"url": "https://a.example/", "events": ["run.paused", "*"]}, "webhook.events.1"),
        ({"url": "https://a.example/", "events": []}, "webhook.events"),
        ({"url": "ftp://a.example/"}, "webhook.url"),
        ({"url": "https://" + "a" * 2048}, "webhook.url"),
        ({"events": ["run.paused"]}, "webhook.url"),
        ("https://a.example/", "webhook"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_the_problem_names_what_is_wrong_with_a_webhook(
    app_module: AppModule, bearer: Bearer, path: str, webhook: Any, at_fault: str
) -> None:
    client = TestClient(app_module("stream").app)
    body = {"message": "hello", "webhook": webhook}
    answer = client.post(path, json=body, headers=bearer())
    assert [param["name"] for param in refused(answer)] == [at_fault]


@pytest.mark.parametrize("path", PATHS)
def test_where_nothing_signs_no_webhook_is_taken(
    app_module: AppModule, bearer: Bearer, path: str
) -> None:
    client = TestClient(app_module("stream").app)
    body = {"message": "hello", "webhook": {"url": "https://a.example/"}}
    (param,) = refused(client.post(path, json=body, headers=bearer()))
    assert param["name"] == "webhook.url"
    assert "this deployment has no webhooks" in param["reason"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/", "does not lead to a public host"),
        ("https://localhost/hook", "does not lead to a public host"),
        ("https://a.example:8443/", "leads to a port other than 80 for http or 443 for https"),
        ("https://ana:secret@a.example/", "leads to a URL with credentials"),
    ],
)
def test_an_address_that_is_not_public_is_refused_with_the_request(
    app_module: AppModule,
    bearer: Bearer,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    url: str,
    reason: str,
) -> None:
    monkeypatch.setenv("AGENTRUN_WEBHOOKS", "true")
    client = TestClient(app_module("stream").app)
    body = {"message": "hello", "webhook": {"url": url}}
    answer = client.post(path, json=body, headers=bearer())
    assert refused(answer) == [{"name": "webhook.url", "reason": reason}]
    assert "secret" not in answer.text


def test_a_request_that_is_repeated_gets_its_run_though_the_host_has_moved(
    app_module: AppModule, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_WEBHOOKS", "true")
    monkeypatch.setenv("AGENTRUN_WEBHOOK_LOOPBACK", "true")
    headers = bearer() | {"Idempotency-Key": str(uuid4())}
    body = {"message": "hello", "webhook": {"url": "http://127.0.0.1:8004/"}}
    first = TestClient(app_module("stream").app).post(RUNS, json=body, headers=headers)
    assert first.status_code == 200
    monkeypatch.setenv("AGENTRUN_WEBHOOK_LOOPBACK", "false")
    client = TestClient(app_module("stream").app)
    again = client.post(RUNS, json=body, headers=headers)
    assert again.json()["runId"] == first.json()["runId"]
    refused(client.post(RUNS, json=body, headers=bearer()))
