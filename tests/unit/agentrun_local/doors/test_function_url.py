"""The Function URL's door: what a client gets for what a function says."""

from typing import Any

import pytest

from agentrun_local.doors.function_url import FunctionUrlDoor
from agentrun_local.functions.invocation import FunctionError, Invoker
from agentrun_local.template.resources import FunctionUrl
from tests.unit.agentrun_local.doors.fake_doors import (
    InProcessFunction,
    StreamingFunction,
    client_of,
    prelude,
)

pytestmark = pytest.mark.anyio


def door(function: Invoker, *, streaming: bool = True) -> FunctionUrlDoor:
    return FunctionUrlDoor(FunctionUrl("F", streaming), function, log=lambda _: None)


async def test_a_streamed_answer_has_the_status_headers_and_cookies_of_its_prelude() -> None:
    head = prelude(statusCode=401, headers={"www-authenticate": "Bearer"}, cookies=["a=1", "b=2"])
    async with client_of(door(StreamingFunction(head, b"one ", b"two"))) as client:
        response = await client.get("/any/path")
    assert (response.status_code, response.text) == (401, "one two")
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_without_a_prelude_the_bytes_are_passed_on() -> None:
    function = StreamingFunction(b"as ", b"it is", content_type="text/plain")
    async with client_of(door(function)) as client:
        response = await client.get("/")
    assert (response.status_code, response.text) == (200, "as it is")
    assert response.headers["content-type"] == "text/plain"


async def test_a_broken_prelude_and_a_function_error_are_a_502() -> None:
    def fail(_: object) -> Any:
        raise FunctionError("ValueError", "secret")

    for function in (StreamingFunction(b"no prelude"), InProcessFunction(fail)):
        async with client_of(door(function)) as client:
            response = await client.get("/")
        assert (response.status_code, response.json()) == (
            502,
            {"Message": "Internal Server Error"},
        )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"statusCode": 201, "body": "x"}, (201, b"x")),
        ({"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}, (200, b"\x00\xff")),
        ({"no": "status"}, (200, b'{"no": "status"}')),
        ("text", (200, b'"text"')),
    ],
)
async def test_a_buffered_url_reads_payload_2_answers(
    answer: Any, expected: tuple[int, bytes]
) -> None:
    function = InProcessFunction(lambda _: answer)
    async with client_of(door(function, streaming=False)) as client:
        response = await client.get("/")
    assert (response.status_code, response.content) == expected
    assert response.headers["content-type"] == "application/json"


async def test_a_request_of_more_than_6_mb_reaches_nobody() -> None:
    function = InProcessFunction(lambda _: {"statusCode": 200})
    async with client_of(door(function)) as client:
        response = await client.post("/", content=bytes(6_291_557))
    assert response.status_code == 413
    assert function.events == []
