"""A base path is served too, and nothing is that only looks like it."""

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrun.http.middleware import BasePathMiddleware
from agentrun.http.problems import HANDLERS
from agentrun.settings import Settings

BASES = ["/assist", "/assist/v2", "/live", "/a.b-c_d"]


async def show(request: Request) -> JSONResponse:
    return JSONResponse([request.path_params["name"], request.url.path])


def starlette_app() -> ASGIApp:
    app = Starlette(routes=[Route("/api/{name}", show)], exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    return app


def fastapi_app() -> ASGIApp:
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_route("/api/{name}", show)
    return app


FRAMEWORKS = {"starlette": starlette_app, "fastapi": fastapi_app}


@pytest.fixture(params=FRAMEWORKS)
def app(request: pytest.FixtureRequest) -> ASGIApp:
    return FRAMEWORKS[request.param]()


def client(app: ASGIApp, base_path: str) -> TestClient:
    return TestClient(BasePathMiddleware(app, base_path))


@pytest.mark.parametrize("base_path", BASES)
def test_a_route_is_found_with_the_base_path_and_without(app: ASGIApp, base_path: str) -> None:
    for path in (f"{base_path}/api/echo", "/api/echo"):
        answer = client(app, base_path).get(path)
        assert (answer.status_code, answer.json()) == (200, ["echo", path])


def test_an_escaped_path_is_read_as_ever(app: ASGIApp) -> None:
    for path in ("/assist/api/a%20b%3F%C3%A9", "/%61ssist/api/a%20b%3F%C3%A9"):
        assert client(app, "/assist").get(path).json()[0] == "a b?é"


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/assist/api/echo", "/assist"), ("/assist", "/assist"), ("/assistant", ""), ("/api/a", "")],
)
def test_an_app_is_told_where_it_is_mounted(path: str, root_path: str) -> None:
    told: list[Scope] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(scope)
        await PlainTextResponse("")(scope, receive, send)

    client(note, "/assist").get(path)
    (scope,) = told
    assert (scope["path"], scope["root_path"]) == (path, root_path)


@pytest.mark.parametrize(
    "path",
    [
        "/assistant/api/echo",
        "/assist.api/echo",
        "/assist",
        "/assist/",
        "/assist//api/echo",
        "/assist/assist/api/echo",
        "/api/assist/api/echo",
        "/Assist/api/echo",
        "/assist/v2/api/echo",
        "//assist/api/echo",
    ],
)
def test_nothing_else_is_taken_for_the_base_path(app: ASGIApp, path: str) -> None:
    answer = client(app, "/assist").get(f"https://app.example{path}")
    assert (answer.status_code, answer.json()["instance"]) == (404, path)


def test_without_a_base_path_there_is_none(app: ASGIApp) -> None:
    assert client(app, "").get("/api/echo").status_code == 200
    assert client(app, "").get("/assist/api/echo").status_code == 404


def test_the_apps_lifespan_is_its_own(app: ASGIApp) -> None:
    with client(app, "/assist") as open_client:
        assert open_client.get("/assist/api/echo").status_code == 200


@pytest.mark.parametrize("given", ["/assist", "assist", "/assist/", "assist//"])
def test_slashes_around_the_setting_do_not_matter(given: str) -> None:
    assert Settings.from_environment({"AGENTRUN_BASE_PATH": given}).base_path == "/assist"


@pytest.mark.parametrize("given", ["", "/"])
def test_a_setting_of_nothing_is_no_base_path(given: str) -> None:
    assert Settings.from_environment({"AGENTRUN_BASE_PATH": given}).base_path == ""
