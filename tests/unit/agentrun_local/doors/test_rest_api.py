"""The REST API's door: what a client gets for what a function says."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.doors.payload_v1 import RoutedRequest
from agentrun_local.doors.rest_api import RestApiDoor
from agentrun_local.doors.rest_definition import MockAnswer, RestApi, Route
from agentrun_local.functions.invocation import FunctionError, Invoker
from tests.unit.agentrun_local.doors.fake_doors import (
    InProcessFunction,
    SilentFunction,
    StreamingFunction,
    client_of,
    prelude,
)

pytestmark = pytest.mark.anyio


def route(resource: str, *, streaming: bool = False, timeout_s: float = 29) -> Route:
    return Route("ANY", resource, "F", None, streaming, None, timeout_s)


def door(function: Invoker, *routes: Route, binary: tuple[str, ...] = ()) -> RestApiDoor:
    api = RestApi("live", routes or (route("/x"),), {}, {}, binary)
    pools: Mapping[str, Invoker] = {"F": function}
    return RestApiDoor(api, pools, log=lambda _: None)


async def test_a_buffered_answer_becomes_a_response() -> None:
    answer = {
        "statusCode": "201",
        "headers": {"X-One": "1", "WWW-Authenticate": "Bearer"},
        "multiValueHeaders": {"X-Two": ["1", "2"]},
        "body": "é",
    }
    function = InProcessFunction(lambda _: answer)
    async with client_of(door(function)) as client:
        response = await client.post("/x?a=1", content=b"sent")
    assert (response.status_code, response.text) == (201, "é")
    assert response.headers["content-type"] == "application/json"
    assert response.headers.get_list("x-two") == ["1", "2"]
    # API Gateway does not let a function send this one.
    assert response.headers["x-amzn-remapped-www-authenticate"] == "Bearer"
    assert "www-authenticate" not in response.headers
    assert (function.events[0]["path"], function.events[0]["body"]) == ("/x", "sent")


@pytest.mark.parametrize(("binary", "decoded"), [((), False), (("image/*",), True)])
async def test_base64_is_decoded_only_for_binary_media_types(
    binary: tuple[str, ...], decoded: bool
) -> None:
    encoded = base64.b64encode(b"\x00\xff").decode()
    answer = {
        "statusCode": 200,
        "headers": {"content-type": "image/png"},
        "body": encoded,
        "isBase64Encoded": True,
    }
    async with client_of(door(InProcessFunction(lambda _: answer), binary=binary)) as client:
        response = await client.get("/x")
    assert response.content == (b"\x00\xff" if decoded else encoded.encode())


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body(status: int) -> None:
    answer = {"statusCode": status, "body": "ignored"}
    async with client_of(door(InProcessFunction(lambda _: answer))) as client:
        response = await client.get("/x")
    assert (response.status_code, response.content) == (status, b"")


@pytest.mark.parametrize("answer", [None, "text", {}, {"statusCode": 200, "body": {"a": 1}}])
async def test_an_answer_that_is_no_response_is_a_502(answer: Any) -> None:
    async with client_of(door(InProcessFunction(lambda _: answer))) as client:
        assert (await client.get("/x")).status_code == 502


async def test_a_function_error_is_a_502() -> None:
    def fail(_: object) -> Any:
        raise FunctionError("ValueError", "secret")

    async with client_of(door(InProcessFunction(fail))) as client:
        response = await client.get("/x")
    assert (response.status_code, response.json()) == (502, {"message": "Internal server error"})


async def test_a_function_that_takes_too_long_is_a_504_and_runs_on() -> None:
    function = SilentFunction()
    slow = route("/x", timeout_s=0)
    async with client_of(door(function, slow)) as client:
        assert (await client.get("/x")).status_code == 504
    assert function.invocation is not None
    assert not function.invocation.begun


async def test_a_streamed_answer_has_the_status_and_headers_of_its_prelude() -> None:
    head = prelude(statusCode=202, headers={"x-one": "1", "content-length": "99"})
    function = StreamingFunction(head[:5], head[5:] + b"first ", b"last")
    async with client_of(door(function, route("/x", streaming=True))) as client:
        response = await client.get("/x")
    assert (response.status_code, response.text) == (202, "first last")
    assert response.headers["x-one"] == "1"
    assert "content-length" not in response.headers


@pytest.mark.parametrize(
    "function",
    [
        StreamingFunction(b"no prelude"),
        StreamingFunction(),
        StreamingFunction(prelude(statusCode=200), content_type="text/plain"),
        InProcessFunction(lambda _: {"statusCode": 200, "body": "buffered"}),
    ],
)
async def test_a_stream_route_needs_a_streamed_answer_with_a_prelude(function: Invoker) -> None:
    async with client_of(door(function, route("/x", streaming=True))) as client:
        assert (await client.get("/x")).status_code == 502


async def test_a_request_may_have_10_mb_and_no_more() -> None:
    function = InProcessFunction(lambda _: {"statusCode": 200})
    async with client_of(door(function)) as client:
        response = await client.post("/x", content=bytes(10 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert function.events == []


@pytest.mark.parametrize(
    ("path", "status"),
    [("/assist/x/a%20b", 200), ("/x/a%20b", 200), ("/assistant/x/a%20b", 403), ("/assist", 403)],
)
async def test_a_mapped_base_path_is_routed_away_and_stays_in_the_event(
    path: str, status: int
) -> None:
    function = InProcessFunction(lambda _: {"statusCode": 200})
    api = RestApi("live", (route("/x/{name}"),), {}, {}, base_path="/assist")
    rest_door = RestApiDoor(api, {"F": function}, log=lambda _: None)
    async with client_of(rest_door) as client:
        assert (await client.get(path)).status_code == status
    for event in function.events:
        assert event["path"] == event["requestContext"]["path"] == path
        assert event["resource"] == "/x/{name}"
        assert event["pathParameters"] == {"name": "a b"}


async def test_an_authorizer_is_asked_about_the_path_without_its_base_path() -> None:
    request = RoutedRequest(
        HttpRequest("GET", "/assist/x/1", "", (), "127.0.0.1", "HTTP/1.1", 8000),
        "live",
        "/x/{name}",
        {"name": "1"},
        base_path="/assist",
    )
    assert request.method_arn.endswith("/live/GET/x/1")


async def test_a_mock_answers_without_a_function() -> None:
    mock = MockAnswer(200, {"Access-Control-Allow-Origin": "*"}, "{}")
    preflight = Route("OPTIONS", "/x", None, mock, False, None, 29)
    async with client_of(door(SilentFunction(), preflight)) as client:
        response = await client.options("/x")
    assert (response.status_code, response.json()) == (200, {})
    assert response.headers["access-control-allow-origin"] == "*"
