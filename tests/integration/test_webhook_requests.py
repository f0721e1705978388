"""A webhook that could not be told is refused with the request that names it."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.conftest import AppModule, Bearer

RUNS = "/api/agents/echo/runs"


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
@pytest.mark.parametrize("path", [RUNS, f"{RUNS}/stream"])
def test_the_problem_names_what_is_wrong_with_a_webhook(
    app_module: AppModule, bearer: Bearer, path: str, webhook: Any, at_fault: str
) -> None:
    client = TestClient(app_module("stream").app)
    body = {"message": "hello", "webhook": webhook}
    answer = client.post(path, json=body, headers=bearer())
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["type"] == "urn:problem-type:invalid-request"
    assert [param["name"] for param in problem["invalidParams"]] == [at_fault]
