"""Tickets, through the payloads of both functions: what opens a stream, and what never does."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from agentrun.domain.principal import TICKET_COMES_AGAIN_WITHIN, TICKET_HOLDS_FOR
from tests.contract.test_token_verifier import token
from tests.integration.conftest import ENVIRONMENT, AppModule, event_file
from tests.integration.front_doors import rest_api
from tests.integration.gateway import Gateway
from tests.sse_blocks import blocks

ORIGIN = "https://app.example"
REFUSED = "A valid bearer token is required."
USER = {"userId": "user-1", "scope": "runs:read runs:write"}


@dataclass
class Answer:
    """An answer of a function as its door sends it."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def events(self) -> list[str]:
        return [json.loads(block["data"])["event"] for block in blocks(self.body.encode())]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """Both functions, called with payloads as their doors make them."""

    def __init__(self, app_module: AppModule) -> None:
        self.stream, self.status = app_module("stream"), app_module("status")

    def caller(self, **identity: str) -> Gateway:
        return Gateway(self.status.handler, **USER | identity)

    def url(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """Call the Function URL as a browser does; a header's `_` is its `-`."""
        event = event_file("attach-run-by-ticket.json")
        path, _, query = target.partition("?")
        event |= {"rawPath": path, "rawQueryString": query}
        event["requestContext"]["http"] |= {"method": method, "path": path}
        event["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            event["body"] = json.dumps(body)
            event["headers"]["content-type"] = "application/json"
        answer = self.stream.handler(event, None)
        return Answer(answer["statusCode"], answer["headers"], answer["body"])

    def run(self, agent: str = "echo", message: str = "one two", **more: Any) -> str:
        """Run an agent to its end, or its pause; return the path of the run."""
        bearer = f"Bearer {token(sub='user-1', roles=[])}"
        runs = f"/api/agents/{agent}/runs"
        body = {"message": message, **more}
        answer = self.url("POST", f"{runs}/stream", body, authorization=bearer)
        assert answer.status == 200, answer.body
        return f"{runs}/{answer.headers['x-run-id']}"

    def issued(self, run: str, **identity: str) -> dict[str, str]:
        status, body = self.caller(**identity).send("POST", f"{run}/stream-ticket")
        assert status == 201, body
        ticket: dict[str, str] = body
        return ticket

    def target(self, run: str, **identity: str) -> str:
        """Issue a ticket; return path and query of the URL that it opens."""
        return target_of(self.issued(run, **identity)["url"])


def target_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.fixture(scope="module")
def api(app_module: AppModule) -> Api:
    return Api(app_module)


@pytest.fixture(scope="module")
def run(api: Api) -> str:
    return api.run()


def is_refused(answer: Answer) -> bool:
    """Tell whether an answer is the 401 that every token gets that does not verify."""
    return (answer.status, answer.json["detail"]) == (401, REFUSED)


def test_a_ticket_comes_with_the_url_that_it_opens(api: Api, run: str) -> None:
    gateway = api.caller()
    before = datetime.now(UTC)
    event = event_file("issue-stream-ticket.json")
    event["path"] = event["requestContext"]["path"] = f"{run}/stream-ticket"
    status, body = gateway.call(event)
    assert status == 201
    assert set(body) == {"ticket", "expiresAt", "url"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", body["ticket"])
    host = ENVIRONMENT["AGENTRUN_STREAM_URL"].rstrip("/")
    assert body["url"] == f"{host}{run}/stream?ticket={body['ticket']}"
    expires_in = datetime.fromisoformat(body["expiresAt"]) - before
    assert timedelta() <= expires_in - TICKET_HOLDS_FOR < timedelta(seconds=30)
    assert gateway.headers["cache-control"] == "no-store"


def test_a_browser_opens_a_stream_once_and_comes_again_until_nothing_is_left(
    api: Api, run: str
) -> None:
    target = api.target(run)
    first = api.url("GET", target)
    assert first.status == 200
    assert first.headers["x-run-id"] == run.rpartition("/")[2]
    assert first.events == ["START", "CONTENT_DELTA", "CONTENT_DELTA", "METRICS", "STOP"]
    assert is_refused(api.url("GET", target))
    assert api.url("GET", target, last_event_id="3").events == ["METRICS", "STOP"]
    assert api.url("GET", target, last_event_id="5").status == 204
    assert is_refused(api.url("GET", target))


def test_a_new_ticket_may_begin_after_an_event(api: Api, run: str) -> None:
    answer = api.url("GET", f"{api.target(run)}&lastEventId=3")
    assert answer.events == ["METRICS", "STOP"]


def test_scripts_of_the_origins_that_are_allowed_read_the_stream_and_refusals(
    api: Api, run: str
) -> None:
    target = api.target(run)
    for expected in (200, 401):
        answer = api.url("GET", target, origin=ORIGIN)
        assert answer.status == expected
        assert answer.headers["access-control-allow-origin"] == ORIGIN
    other = api.url("GET", api.target(run), origin="https://other.example")
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("spoil", ["unknown", "none", "empty", "short", "twice", "other run"])
def test_a_ticket_that_does_not_hold_is_refused_like_any_token(
    api: Api, run: str, spoil: str
) -> None:
    target = api.target(run)
    path, _, query = target.partition("?")
    (ticket,) = parse_qs(query)["ticket"]
    spoilt = {
        "unknown": f"{path}?ticket={'x' * 43}",
        "none": path,
        "empty": f"{path}?ticket=",
        "short": f"{path}?ticket={ticket[:-1]}",
        "twice": f"{target}&{query}",
        "other run": f"{api.run()}/stream?{query}",
    }[spoil]
    for headers in ({}, {"last_event_id": "1"}):
        answer = api.url("GET", spoilt, **headers)
        assert is_refused(answer)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert ticket not in answer.body
        assert answer.json["instance"] == urlsplit(spoilt).path
    # None of them has used it up.
    assert api.url("GET", target).status == 200


def test_a_ticket_of_another_agents_run_is_refused(api: Api, run: str) -> None:
    target = api.target(run)
    assert is_refused(api.url("GET", target.replace("/echo/", "/analyst/")))
    assert api.url("GET", target).status == 200


def test_an_authorization_header_decides_alone(api: Api, run: str) -> None:
    target = api.target(run)
    for bad in ("Bearer x", "Basic eDp5", ""):
        assert is_refused(api.url("GET", target, authorization=bad))
    good = f"Bearer {token(sub='user-1', roles=[])}"
    assert api.url("GET", f"{run}/stream?ticket=x", authorization=good).status == 200
    assert api.url("GET", target, authorization=good).status == 200
    assert api.url("GET", target).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/agents/echo/runs/stream", 401),
        ("POST", "/api/agents/echo/runs", 401),
        ("POST", "RUN/continue", 401),
        ("POST", "RUN/stream", 405),
        ("DELETE", "RUN/stream", 405),
        ("HEAD", "RUN/stream", 405),
        ("GET", "RUN", 404),
        ("GET", "RUN/status", 404),
        ("DELETE", "RUN", 404),
        ("POST", "RUN/stream-ticket", 404),
        ("GET", "RUN/stream-ticket", 404),
        ("POST", "/api/agents/echo/runs/background", 404),
        ("GET", "/api/sessions", 404),
    ],
)
def test_everywhere_else_a_ticket_is_as_none(
    api: Api, run: str, method: str, path: str, status: int
) -> None:
    target = api.target(run)
    where = path.replace("RUN", run)
    body = {"message": "hi"} if method == "POST" else None
    answers = [api.url(method, f"{where}{query}", body) for query in ("", f"?{target[-50:]}")]
    assert target[-50:].startswith("ticket=")
    assert [(answer.status, answer.body) for answer in answers] == [(status, answers[0].body)] * 2
    assert api.url("GET", target).status == 200


def test_a_preflight_is_answered_as_without(api: Api, run: str) -> None:
    target = api.target(run)
    asked = {"origin": ORIGIN, "access_control_request_method": "GET"}
    assert api.url("OPTIONS", target, **asked).status == 200
    assert api.url("GET", target).status == 200


def test_the_rest_api_takes_no_ticket(app_module: AppModule, api: Api, run: str) -> None:
    target = api.target(run)
    gateway = TestClient(rest_api(app_module))
    assert gateway.get(target).status_code == 401
    # Nor does the function, if a gateway lets a request through that has no token.
    event = event_file("attach-run.json")
    path, _, query = target.partition("?")
    event["path"] = event["requestContext"]["path"] = path
    event["multiValueQueryStringParameters"] = parse_qs(query)
    event["queryStringParameters"] = {"ticket": parse_qs(query)["ticket"][0]}
    for fields in (event["headers"], event["multiValueHeaders"]):
        del fields["Authorization"]
    assert api.stream.handler(event, None)["statusCode"] == 401
    assert api.url("GET", target).status == 200


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        ({"userId": "bob"}, 404),
        ({"orgId": "umbrella"}, 404),
        ({"orgId": "umbrella", "roles": "admin"}, 404),
        ({"scope": ""}, 403),
        ({"scope": "runs:read"}, 201),
        ({"userId": "root", "scope": "", "roles": "admin"}, 201),
    ],
)
def test_a_ticket_is_for_what_its_caller_sees(
    api: Api, run: str, identity: dict[str, str], status: int
) -> None:
    found, body = api.caller(**identity).send("POST", f"{run}/stream-ticket")
    assert found == status
    if found == 201:
        assert api.url("GET", target_of(body["url"])).events[-1] == "STOP"


def test_a_ticket_for_no_run_is_not_issued(api: Api, run: str) -> None:
    for path in ("/api/agents/echo/runs/nothing", run.replace("/echo/", "/analyst/")):
        assert api.caller().send("POST", f"{path}/stream-ticket")[0] == 404


def test_a_paused_run_is_shown_to_its_pause_and_no_further(api: Api) -> None:
    target = api.target(api.run("finance_agent", "Buy 1 share of AMZN"))
    shown = api.url("GET", target)
    assert shown.events[-1] == "PAUSED"
    last = str(len(shown.events))
    assert api.url("GET", target, last_event_id=last).status == 204


def test_a_run_that_is_deleted_is_not_found(api: Api) -> None:
    session = str(uuid4())
    target = api.target(api.run(sessionId=session))
    assert api.url("GET", target).status == 200
    assert api.caller().send("DELETE", f"/api/sessions/{session}")[0] == 204
    assert api.url("GET", target, last_event_id="1").status == 404


class Ahead:
    """The port `Clock`, ahead of the other function's."""

    def __init__(self, clock: Any, by: timedelta) -> None:
        self._clock = clock
        self._by = by

    def now(self) -> datetime:
        now: datetime = self._clock.now() + self._by
        return now


def test_an_expired_ticket_is_refused_though_its_item_is_there(
    api: Api, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, unused = api.target(run), api.target(run)
    assert api.url("GET", used).status == 200

    def later(by: timedelta) -> None:
        clock: Any = Ahead(api.stream.clock, by)
        monkeypatch.setattr(api.stream.routes, "ports", replace(api.stream.runs, clock=clock))

    later(TICKET_HOLDS_FOR - timedelta(seconds=10))
    assert api.url("GET", used, last_event_id="4").events == ["STOP"]
    later(TICKET_HOLDS_FOR)
    assert is_refused(api.url("GET", unused))
    assert is_refused(api.url("GET", unused, last_event_id="4"))
    later(TICKET_COMES_AGAIN_WITHIN + timedelta(seconds=10))
    assert api.url("GET", used, last_event_id="4").events == ["STOP"]
    later(2 * TICKET_COMES_AGAIN_WITHIN + timedelta(seconds=30))
    assert is_refused(api.url("GET", used, last_event_id="4"))


def test_the_store_keeps_no_ticket_in_clear(api: Api, run: str) -> None:
    issued = api.issued(run)
    module: ModuleType = api.status
    items = module.client.scan(TableName=ENVIRONMENT["AGENTRUN_TABLE"])["Items"]
    assert any(item["pk"]["S"].startswith("TICKET#") for item in items)
    assert issued["ticket"] not in str(items)
