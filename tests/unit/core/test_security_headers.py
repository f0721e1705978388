"""What every answer says to browsers and caches, and what it costs a stream."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrun.http.security_headers import SECURITY_HEADERS, SecurityHeadersMiddleware


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
