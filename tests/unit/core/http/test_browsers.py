"""Which scripts may call and read, and what every answer tells browsers and caches."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response as Answer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrun.http.middleware import (
    ANSWER_HEADERS,
    REQUEST_HEADERS,
    SECURITY_HEADERS,
    SecurityHeadersMiddleware,
    with_cors,
)
from agentrun.http.problems import HANDLERS
from agentrun.settings import Settings

HERE, THERE, ELSEWHERE = "https://app.example", "https://admin.example", "https://evil.example"
ANY, LISTED, NONE = "*", f"{HERE}, {THERE}", ""


async def refuse(_request: Request) -> JSONResponse:
    return JSONResponse({}, 401, headers={"Vary": "Accept"})


async def nothing(_request: Request) -> Response:
    return Response(status_code=204)


async def fail(_request: Request) -> Response:
    raise RuntimeError


def client(parameter: str, more_headers: str = "") -> TestClient:
    settings = Settings.from_environment(
        {"AGENTRUN_CORS_ORIGINS": parameter, "AGENTRUN_CORS_ALLOW_HEADERS": more_headers}
    )
    api = Starlette(
        routes=[
            Route("/", refuse, methods=["GET", "POST", "DELETE"]),
            Route("/nothing", nothing),
            Route("/fail", fail),
        ],
        exception_handlers=HANDLERS,
    )
    app = with_cors(api, settings.cors_origins, settings.cors_allow_headers)
    return TestClient(app, raise_server_exceptions=False)


def preflight(
    parameter: str, origin: str, method: str = "POST", headers: str = "", more_headers: str = ""
) -> Answer:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return client(parameter, more_headers).options("/", headers=asked)


OPENED = [
    (ANY, HERE, "*"),
    (ANY, ELSEWHERE, "*"),
    (ANY, "null", "*"),
    (LISTED, HERE, HERE),
    (LISTED, THERE, THERE),
    (LISTED, ELSEWHERE, None),
    (LISTED, "null", None),
    (LISTED, f"{HERE}.evil.example", None),
    (LISTED, "http://app.example", None),
    (NONE, HERE, None),
]


@pytest.mark.parametrize(("parameter", "origin", "opened"), OPENED)
def test_an_answer_is_open_to_the_origins_that_are_named(
    parameter: str, origin: str, opened: str | None
) -> None:
    answer = client(parameter).get("/", headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == opened
    # A refused origin is told which headers it could read; it can read none.
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert set(exposed.split(", ")) == set(ANSWER_HEADERS)


@pytest.mark.parametrize(("parameter", "origin", "opened"), OPENED)
def test_a_preflight_says_the_same(parameter: str, origin: str, opened: str | None) -> None:
    answer = preflight(parameter, origin, headers=", ".join(REQUEST_HEADERS))
    assert answer.headers.get("Access-Control-Allow-Origin") == opened
    assert answer.status_code == (200 if opened else 400)
    assert set(REQUEST_HEADERS) <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert answer.headers["Access-Control-Max-Age"] == "7200"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_methods_of_the_api_are_allowed(method: str) -> None:
    assert preflight(LISTED, HERE, method).status_code == 200


@pytest.mark.parametrize("origin", [HERE, ELSEWHERE])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 401),
        ("HEAD", "/nothing", 204),
        ("GET", "/nothing", 204),
        ("GET", "/nowhere", 404),
        ("PUT", "/", 405),
        ("GET", "/fail", 500),
        ("OPTIONS", "/", 405),
    ],
)
def test_every_answer_names_the_origin_that_may_read_it(
    method: str, path: str, status: int, origin: str
) -> None:
    answer = client(LISTED).request(method, path, headers={"Origin": origin})
    assert answer.status_code == status
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    assert allowed == (origin if origin == HERE else None)
    assert "Origin" in answer.headers["Vary"].split(", ")


BY_TRACERS = "traceparent, tracestate, baggage, sentry-trace, cache-control, x-request-id"


@pytest.mark.parametrize(
    ("headers", "more_headers", "is_allowed"),
    [
        (BY_TRACERS, "", True),
        ("accept,authorization,content-type,last-event-id", "", True),
        ("x-api-version", "", False),
        ("x-api-version", "X-Api-Version", True),
        ("x-api-version,traceparent,x_other", "X-Api-Version, X_Other", True),
        ("x-api-version,x-third", "X-Api-Version, X_Other", False),
    ],
)
def test_a_deployment_may_allow_more_headers(
    headers: str, more_headers: str, is_allowed: bool
) -> None:
    answer = preflight(LISTED, HERE, headers=headers, more_headers=more_headers)
    assert answer.status_code == (200 if is_allowed else 400)
    named = {name.lower() for name in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert ({name.strip() for name in headers.split(",")} <= named) == is_allowed


@pytest.mark.parametrize(
    ("asked", "at_fault"),
    [
        ({"origin": ELSEWHERE}, ["Origin"]),
        ({"method": "PUT"}, ["Access-Control-Request-Method"]),
        ({"headers": "x-api-key"}, ["Access-Control-Request-Headers"]),
        (
            {"origin": ELSEWHERE, "method": "PUT", "headers": "x-api-key"},
            ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"],
        ),
    ],
)
def test_a_refused_preflight_is_a_problem(asked: dict[str, str], at_fault: list[str]) -> None:
    answer = preflight(LISTED, **{"origin": HERE} | asked)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (400, 400)
    assert (problem["type"], problem["instance"]) == ("urn:problem-type:invalid-request", "/")
    assert [param["name"] for param in problem["invalidParams"]] == at_fault
    assert all(name in problem["detail"] for name in at_fault)
    assert "Origin" in answer.headers["Vary"].split(", ")
    assert answer.headers.get("Access-Control-Allow-Origin") == (
        None if "origin" in asked else HERE
    )


@pytest.mark.parametrize(("method", "headers"), [("PUT", ""), ("POST", "X-Api-Key")])
def test_other_methods_and_headers_are_refused(method: str, headers: str) -> None:
    assert preflight(ANY, HERE, method, headers).status_code == 400


@pytest.mark.parametrize("parameter", [ANY, LISTED, NONE])
def test_credentials_are_never_allowed(parameter: str) -> None:
    headers = {"Origin": HERE, "Cookie": "session=1"}
    for answer in (client(parameter).get("/", headers=headers), preflight(parameter, HERE)):
        assert "Access-Control-Allow-Credentials" not in answer.headers
    if parameter == ANY:
        answer = client(parameter).get("/", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origin", [{}, {"Origin": HERE}, {"Origin": ELSEWHERE}])
def test_caches_are_told_that_answers_differ_by_origin(origin: dict[str, str]) -> None:
    varies = client(LISTED).get("/", headers=origin).headers["Vary"]
    assert set(varies.split(", ")) == {"Accept", "Origin"}


def test_no_preflight_names_a_private_network() -> None:
    headers = {"Access-Control-Request-Private-Network": "true"}
    asked = {"Origin": HERE, "Access-Control-Request-Method": "POST"} | headers
    assert client(ANY).options("/", headers=asked).status_code == 400


def answering(answer: Callable[[], Response]) -> TestClient:
    api = Starlette(routes=[Route("/", lambda _: answer(), methods=["GET"])])
    return TestClient(SecurityHeadersMiddleware(api), raise_server_exceptions=False)


def failing() -> Response:
    raise RuntimeError("unforeseen")


def test_these_are_the_headers() -> None:
    assert SECURITY_HEADERS == {
        "X-Content-Type-Options": "nosniff",
        "Strict-Transport-Security": "max-age=63072000",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }


@pytest.mark.parametrize("answer", [lambda: JSONResponse({}), lambda: Response(None, 204), failing])
@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_every_answer_has_them(answer: Callable[[], Response], path: str) -> None:
    headers = answering(answer).get(path).headers
    assert {name: headers.get_list(name) for name in SECURITY_HEADERS} == {
        name: [value] for name, value in SECURITY_HEADERS.items()
    }


def test_what_an_answer_says_itself_is_left_as_it_is() -> None:
    own = {"CACHE-CONTROL": "no-cache, no-transform", "X-Run-Id": "r"}
    headers = answering(lambda: StreamingResponse(iter([b"x"]), headers=own)).get("/").headers
    assert headers.get_list("Cache-Control") == ["no-cache, no-transform"]
    assert headers["X-Run-Id"] == "r"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.anyio
async def test_the_events_of_a_stream_pass_untouched() -> None:
    events: list[Message] = [{"type": "http.response.body", "body": b"x", "more_body": True}] * 3
    start: Message = {"type": "http.response.start", "status": 200, "headers": []}
    sent: list[Message] = []

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in [start, *events]:
            await send(message)

    await exchange(stream, sent)
    assert len(sent[0]["headers"]) == len(SECURITY_HEADERS)
    assert start["headers"] == []
    assert all(passed is event for passed, event in zip(sent[1:], events, strict=True))


async def exchange(app: ASGIApp, sent: list[Message]) -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http"}
    await SecurityHeadersMiddleware(app)(scope, receive, send)
