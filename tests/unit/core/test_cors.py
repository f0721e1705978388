"""Which scripts may call and read: those of the origins that a deployment names."""

import pytest
from httpx2 import Response as Answer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from agentrun.http.cors import ANSWER_HEADERS, REQUEST_HEADERS, with_cors
from agentrun.settings import Settings

HERE, THERE, ELSEWHERE = "https://app.example", "https://admin.example", "https://evil.example"
ANY, LISTED, NONE = "*", f"{HERE}, {THERE}", ""


async def refuse(_request: Request) -> JSONResponse:
    return JSONResponse({}, 401, headers={"Vary": "Accept"})


def client(parameter: str) -> TestClient:
    settings = Settings.from_environment({"AGENTRUN_CORS_ORIGINS": parameter})
    api = Starlette(routes=[Route("/", refuse, methods=["GET", "POST", "DELETE"])])
    return TestClient(with_cors(api, settings.cors_origins))


def preflight(parameter: str, origin: str, method: str = "POST", headers: str = "") -> Answer:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return client(parameter).options("/", headers=asked)


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
