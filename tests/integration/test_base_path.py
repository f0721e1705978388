"""Both functions below a base path, by the payloads of a mapped domain and of CloudFront."""

import json
from typing import Any

import pytest

from tests.integration.conftest import AppModule, Handler, event_file
from tests.translated_template import routes

PAYLOADS = ("get-agent", "stream-run-rest", "stream-run")
STREAMED = ("stream-run-rest", "stream-run")
each_payload = pytest.mark.parametrize("name", PAYLOADS)


@pytest.fixture(scope="module")
def handlers(app_module: AppModule) -> dict[str, Handler]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTRUN_BASE_PATH", "/assist")
        status, stream = app_module("status").handler, app_module("stream").handler
    return {"get-agent": status, "stream-run-rest": stream, "stream-run": stream}


def mapped(name: str) -> dict[str, Any]:
    """Return the payload with a base path; its agent is one that the demo model answers."""
    return event_file(f"base_path/{name}.json")


def asked_for(event: dict[str, Any], path: str) -> dict[str, Any]:
    """Let a payload be of another path; the gateway's own idea of the resource stays."""
    if "rawPath" in event:
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
    else:
        event["path"] = event["requestContext"]["path"] = path
    return event


def path_of(event: dict[str, Any]) -> str:
    path: str = event.get("rawPath") or event["path"]
    return path


@each_payload
def test_the_payloads_differ_from_the_plain_ones_by_the_base_path_and_the_host(name: str) -> None:
    event, plain = mapped(name), event_file(f"{name}.json")
    assert path_of(event) == f"/assist{path_of(plain)}"
    assert event.get("resource") == plain.get("resource")
    if "resource" in event:
        assert (event["resource"], event["httpMethod"].lower()) in routes()
        assert event["requestContext"]["path"] == event["path"]


@each_payload
@pytest.mark.parametrize("prefix", ["/assist", ""])
def test_a_route_answers_with_the_base_path_and_without(
    handlers: dict[str, Handler], name: str, prefix: str
) -> None:
    event = mapped(name)
    asked_for(event, f"{prefix}{path_of(event).removeprefix('/assist')}")
    answer = handlers[name](event, None)
    assert answer["statusCode"] == 200
    if name in STREAMED:
        assert answer["headers"]["content-type"].startswith("text/event-stream")
        assert '"event":"STOP"' in answer["body"]
    else:
        assert json.loads(answer["body"])["id"] == event["pathParameters"]["agentId"]


@each_payload
def test_a_path_that_only_begins_alike_is_404(handlers: dict[str, Handler], name: str) -> None:
    event = mapped(name)
    path = path_of(event).replace("/assist/", "/assistant/", 1)
    answer = handlers[name](asked_for(event, path), None)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["instance"]) == (404, path)
    assert problem["type"] == "urn:problem-type:resource-not-found"


@each_payload
@pytest.mark.parametrize("prefix", ["/assist", ""])
def test_a_problem_names_the_path_that_the_client_asked_for(
    handlers: dict[str, Handler], name: str, prefix: str
) -> None:
    event = mapped(name)
    agent = "docs_assistant" if name in STREAMED else event["pathParameters"]["agentId"]
    plain = path_of(event).removeprefix("/assist")
    # An escaped space: no agent has such a name.
    path = f"{prefix}{plain}".replace(agent, "no%20body")
    answer = handlers[name](asked_for(event, path), None)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["instance"]) == (404, path)
    assert "no body" in problem["detail"]


@pytest.mark.parametrize("prefix", ["/assist", ""])
@pytest.mark.parametrize(("path", "status"), [("runs/stream", 405), ("runs/elsewhere", 404)])
def test_the_function_url_says_405_to_a_wrong_method_and_404_to_a_wrong_path(
    handlers: dict[str, Handler], prefix: str, path: str, status: int
) -> None:
    event = asked_for(mapped("stream-run"), f"{prefix}/api/agents/echo/{path}")
    event["requestContext"]["http"]["method"] = "PUT"
    answer = handlers["stream-run"](event, None)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["status"]) == (status, status)
    assert problem["instance"] == path_of(event)
    assert answer["headers"].get("allow") == ("POST" if status == 405 else None)


@each_payload
def test_a_preflight_is_answered_below_the_base_path(
    handlers: dict[str, Handler], name: str
) -> None:
    event = mapped(name)
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    if "rawPath" in event:
        event["requestContext"]["http"]["method"] = "OPTIONS"
        event["headers"] |= asked
    else:
        event["httpMethod"] = "OPTIONS"
        event["headers"] |= asked
        event["multiValueHeaders"] |= {key: [value] for key, value in asked.items()}
    answer = handlers[name](event, None)
    assert answer["statusCode"] == 200
    assert answer["headers"]["access-control-allow-origin"] == "https://app.example"
