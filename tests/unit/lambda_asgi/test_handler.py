"""The handler as a plain function, answering buffered."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_asgi import StreamingHandler, request_id
from lambda_asgi.errors import LifespanStartupError
from tests.lambda_http_events import function_url_event, rest_event

CONTEXT = SimpleNamespace(aws_request_id="request-1")


class RecordingApp:
    """Answers with what it saw, in two parts; the path is the content type."""

    def __init__(self) -> None:
        self.lifespan: list[str] = []
        self.fail_startups = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        seen = {"state": scope["state"], "requestId": request_id.get(), "path": scope["path"]}
        headers = [(b"content-type", scope["path"][1:].encode()), (b"x-a", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            event = (await receive())["type"]
            self.lifespan.append(event)
            if self.fail_startups:
                self.fail_startups -= 1
                await send({"type": "lifespan.startup.failed", "message": "not yet"})
                return
            scope["state"]["starts"] = self.lifespan.count("lifespan.startup")
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return


@pytest.fixture
def app() -> RecordingApp:
    return RecordingApp()


@pytest.fixture
def handler(app: RecordingApp) -> Iterator[StreamingHandler]:
    handler = StreamingHandler(app)
    yield handler
    handler.close()


@pytest.mark.parametrize("event", [function_url_event("/text/plain"), rest_event("/text/plain")])
def test_an_event_is_answered_whole(handler: StreamingHandler, event: object) -> None:
    answer = handler(event, CONTEXT)
    assert (answer["statusCode"], answer["headers"]["x-a"]) == (200, "1")
    assert json.loads(answer["body"]) == {
        "state": {"starts": 1},
        "requestId": "request-1",
        "path": "/text/plain",
    }


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [("application/problem+json", False), ("text/event-stream", False), ("image/png", True)],
)
def test_text_is_not_encoded(
    handler: StreamingHandler, content_type: str, *, encoded: bool
) -> None:
    answer = handler(function_url_event(f"/{content_type}"), CONTEXT)
    assert answer["isBase64Encoded"] is encoded
    body = base64.b64decode(answer["body"]) if encoded else answer["body"]
    assert json.loads(body)["state"] == {"starts": 1}


def test_the_lifespan_lasts_from_the_first_call_to_close(
    app: RecordingApp, handler: StreamingHandler
) -> None:
    assert app.lifespan == []
    for _ in range(3):
        handler(function_url_event("/text/plain"), CONTEXT)
    assert app.lifespan == ["lifespan.startup"]
    handler.close()
    assert app.lifespan == ["lifespan.startup", "lifespan.shutdown"]


def test_a_failed_startup_is_tried_again(app: RecordingApp, handler: StreamingHandler) -> None:
    app.fail_startups = 1
    with pytest.raises(LifespanStartupError, match="not yet"):
        handler(function_url_event("/text/plain"), CONTEXT)
    assert handler(function_url_event("/text/plain"), CONTEXT)["statusCode"] == 200


def test_a_warm_up_does_not_start_the_app(app: RecordingApp, handler: StreamingHandler) -> None:
    assert handler({"source": "aws.events"}, CONTEXT) == {
        "handled": False,
        "reason": "not an HTTP event",
    }
    assert app.lifespan == []


def test_importing_the_package_loads_neither_asyncio_nor_mangum() -> None:
    probe = "import sys, lambda_asgi; print(*sorted({'asyncio', 'h11', 'mangum'} & {*sys.modules}))"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True)
    assert found.stdout.split() == []
