"""
Every forged, stale or misplaced token, at both doors: 401 in one shape, and no table is touched.

The doors are the local stack's own, with the template's authorizer and gateway responses; behind
them are the real functions, whose DynamoDB is a server that counts what reaches it.
"""

import asyncio
import importlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from agentrun.adapters.system_clock import SystemClock
from agentrun_local.doors.function_url import FunctionUrlDoor
from agentrun_local.doors.prelude import CONTENT_TYPE
from agentrun_local.doors.rest_api import RestApiDoor
from agentrun_local.functions.invocation import FunctionError, Invocation
from agentrun_local.template.resources import read_stack
from tests.contract.test_token_verifier import JWKS, REFUSED, signed_by_a_stranger, token
from tests.http_server import send
from tests.integration.conftest import ENVIRONMENT
from tests.issuer_server import Issuer, running_issuer
from tests.translated_template import ROOT
from tests.unit.agentrun_local.doors.fake_doors import InProcessFunction, client_of, fill, prelude

pytestmark = pytest.mark.anyio

RUN = "/api/agents/echo/runs/stream"
BATCH = "/api/agents/echo/runs/status?runIds=a"
Headers = list[tuple[str, str]]


class StreamedInProcess(InProcessFunction):
    """Answers as the function's own runtime does, prelude first."""

    def invoke(self, event: bytes, *, trace_id: str | None = None) -> Invocation:
        """Run the callable."""
        invocation = Invocation(event, trace_id=trace_id)
        document = json.loads(event)
        self.events.append(document)
        answer = self.function(document)
        headers = {**(answer.get("headers") or {})}
        headers |= {k: v[-1] for k, v in (answer.get("multiValueHeaders") or {}).items()}
        head = prelude(statusCode=answer["statusCode"], headers=headers)
        fill(invocation, CONTENT_TYPE, head, answer["body"].encode(), streaming=True)
        return invocation


@dataclass(frozen=True)
class Doors:
    """Both doors, what is behind them, and what was asked of the table."""

    rest_api: RestApiDoor
    function_url: FunctionUrlDoor
    functions: dict[str, InProcessFunction]
    table: Issuer

    async def ask(self, door: str, method: str, target: str, headers: Headers) -> httpx.Response:
        """Send a request that is good but for its token."""
        async with client_of(getattr(self, door)) as client:
            body = {"message": "hi"} if method == "POST" else None
            return await client.request(method, target, headers=headers, json=body)


def no_such_table(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(int(handler.headers["Content-Length"]))
    error = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
    send(handler, 400, json.dumps({"__type": error, "message": "none"}).encode())


def in_a_thread(threads: ThreadPoolExecutor, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Call a function as its runtime does, outside the door's event loop."""

    def call(event: dict[str, Any]) -> Any:
        try:
            return threads.submit(handler, event, None).result()
        except Exception as error:
            raise FunctionError(type(error).__name__, str(error)) from error

    return call


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    with ExitStack() as cleanup:
        table = cleanup.enter_context(running_issuer())
        table.answer = no_such_table
        patch = cleanup.enter_context(pytest.MonkeyPatch.context())
        environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL_DYNAMODB": table.url}
        for name, value in environment.items():
            patch.setenv(name, value)
        loop = asyncio.new_event_loop()
        cleanup.callback(loop.close)
        threads = cleanup.enter_context(
            ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(loop,))
        )
        handlers = {
            name: threads.submit(load, name).result() for name in ("authorizer", "status", "stream")
        }
        cleanup.callback(lambda: threads.submit(handlers["stream"].close).result())
        functions = {
            f"{name.capitalize()}Function": (
                StreamedInProcess if name == "stream" else InProcessFunction
            )(in_a_thread(threads, handler))
            for name, handler in handlers.items()
        }
        stack = read_stack(
            ROOT / "template.yaml",
            {"Issuer": "https://issuer.test", "Audience": "agentrun", "Jwks": json.dumps(JWKS)},
        )
        assert stack.rest_api is not None
        assert stack.function_url is not None
        yield Doors(
            RestApiDoor(stack.rest_api, functions, log=lambda _: None),
            FunctionUrlDoor(stack.function_url, functions["StreamFunction"], log=lambda _: None),
            functions,
            table,
        )


def load(name: str) -> Any:
    return importlib.reload(importlib.import_module(f"functions.{name}.app")).handler


def bearer(value: str) -> Headers:
    return [("Authorization", f"Bearer {value}")]


def as_bearer(forge: Callable[[], str]) -> Callable[[], tuple[str, Headers]]:
    return lambda: ("", bearer(forge()))


# Not among the forged tokens: what no HTTP client sends.
FORGED = {name: forge for name, forge in REFUSED.items() if name not in {"not ASCII", "not text"}}
# Each gives what to put into the query, and the headers.
ATTACKS: dict[str, Callable[[], tuple[str, Headers]]] = {
    **{f"token: {name}": as_bearer(forge) for name, forge in FORGED.items()},
    "no header": lambda: ("", []),
    "empty header": lambda: ("", [("Authorization", "")]),
    "empty bearer": lambda: ("", [("Authorization", "Bearer")]),
    "empty bearer with a space": lambda: ("", [("Authorization", "Bearer ")]),
    "no scheme": lambda: ("", [("Authorization", token())]),
    "Basic scheme": lambda: ("", [("Authorization", "Basic YW5hOnNlY3JldA==")]),
    "Basic with a good token": lambda: ("", [("Authorization", f"Basic {token()}")]),
    "token in the query": lambda: (f"access_token={token()}", []),
    "header in the query": lambda: (f"Authorization=Bearer%20{token()}", []),
    "token in a cookie": lambda: ("", [("Cookie", f"Authorization=Bearer {token()}")]),
    "token in another header": lambda: ("", [("X-Authorization", f"Bearer {token()}")]),
    "two good headers": lambda: ("", bearer(token()) * 2),
    "a bad header, then a good one": lambda: ("", [*bearer("x.y.z"), *bearer(token())]),
    "a good header, then a bad one": lambda: ("", [*bearer(token()), *bearer("x.y.z")]),
    "two tokens in one header": lambda: ("", bearer(f"{token()}, Bearer {token()}")),
    "an identity of one's own": lambda: ("", [("X-Amzn-Authorizer", '{"userId":"eve"}')]),
}


@pytest.mark.parametrize("name", list(ATTACKS))
@pytest.mark.parametrize(
    ("door", "method", "target"),
    [("rest_api", "POST", RUN), ("rest_api", "GET", BATCH), ("function_url", "POST", RUN)],
    ids=["REST stream", "REST status", "Function URL"],
)
async def test_an_attack_is_a_401_and_touches_no_table(
    doors: Doors, door: str, method: str, target: str, name: str
) -> None:
    query, headers = ATTACKS[name]()
    path, _, rest = target.partition("?")
    before = len(doors.table.paths)
    query = "&".join(part for part in (rest, query) if part)
    answer = await doors.ask(door, method, f"{path}?{query}", headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    # API Gateway renames the header when it comes from a function.
    renamed = answer.headers.get("x-amzn-remapped-www-authenticate")
    assert answer.headers.get("www-authenticate", renamed) == "Bearer"
    assert answer.json() == {
        "type": "urn:problem-type:unauthorized",
        "title": "Authentication is needed",
        "status": 401,
        "detail": "A valid bearer token is required.",
        "instance": path,
    }
    assert len(doors.table.paths) == before


@pytest.mark.parametrize("name", [name for name in ATTACKS if "header" not in name])
async def test_the_rest_api_refuses_without_asking_the_function(doors: Doors, name: str) -> None:
    behind = (doors.functions["StreamFunction"], doors.functions["StatusFunction"])
    before = [len(function.events) for function in behind]
    query, headers = ATTACKS[name]()
    for method, target in (("POST", f"{RUN}?{query}"), ("GET", f"{BATCH}&{query}")):
        assert (await doors.ask("rest_api", method, target, headers)).status_code == 401
    assert [len(function.events) for function in behind] == before


@pytest.mark.parametrize(
    ("door", "method", "target"),
    [("rest_api", "POST", RUN), ("rest_api", "GET", BATCH), ("function_url", "POST", RUN)],
)
async def test_the_table_is_asked_for_a_good_token(
    doors: Doors, door: str, method: str, target: str
) -> None:
    before = len(doors.table.paths)
    answer = await doors.ask(door, method, target, bearer(token()))
    assert answer.status_code not in (401, 403)
    assert len(doors.table.paths) > before


@pytest.mark.parametrize("door", ["rest_api", "function_url"])
async def test_a_url_in_a_token_is_never_asked(doors: Doors, door: str) -> None:
    with running_issuer() as evil:
        for name in ("jku", "x5u"):
            forged = signed_by_a_stranger("evil", **{name: evil.jwks_url})
            answer = await doors.ask(door, "POST", RUN, bearer(forged))
            assert answer.status_code == 401
        assert evil.paths == []


async def test_the_gateways_cache_does_not_outlive_the_token(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = int(time.time()) + 30
    headers = bearer(token(exp=exp))
    assert (await doors.ask("rest_api", "GET", "/api/agents", headers)).status_code == 200
    asked = len(doors.functions["AuthorizerFunction"].events)
    for late_s, status in ((60, 200), (61, 401)):
        then = datetime.fromtimestamp(exp + late_s, UTC)
        monkeypatch.setattr(SystemClock, "now", lambda _, then=then: then)
        answer = await doors.ask("rest_api", "GET", "/api/agents", headers)
        assert answer.status_code == status
    assert len(doors.functions["AuthorizerFunction"].events) == asked
