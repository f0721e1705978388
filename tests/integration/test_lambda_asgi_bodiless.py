"""Every answer ends, and with at least one byte behind the prelude."""

import pytest

from tests.lambda_http_events import function_url_event
from tests.lambda_runtime.calls import Call, ScriptedRuntimeApi
from tests.lambda_runtime.process import running

pytestmark = pytest.mark.anyio

ERROR_TYPE = "lambda-runtime-function-error-type"
LAST_CHUNK = b"\r\n0\r\n\r\n"


async def answered(
    api: ScriptedRuntimeApi, path: str, method: str = "GET", query: str = ""
) -> Call:
    """Return the whole answer, once the runtime has served another event after it."""
    request_id = api.invoke(function_url_event(path, method, query))
    call = await api.complete_call(f"/{request_id}/response")
    following = api.invoke(function_url_event("/echo"))
    await api.complete_call(f"/{following}/response")
    return call


@pytest.mark.parametrize(
    ("path", "method", "query", "status"),
    [
        ("/bare", "GET", "status=204", 204),
        ("/bare", "GET", "status=304", 304),
        ("/bare", "GET", "status=307", 307),
        ("/bare", "GET", "status=404", 404),
        ("/bare", "GET", "status=200", 200),
        ("/bare", "HEAD", "status=200", 200),
        ("/bare", "HEAD", "status=405", 405),
        ("/sized", "HEAD", "3", 200),
        ("/large", "HEAD", "", 200),
        ("/unended", "HEAD", "", 200),
        ("/empty", "GET", "", 200),
        ("/empty_stream", "GET", "", 200),
        ("/start_only", "GET", "", 200),
        ("/start_only", "HEAD", "", 200),
    ],
)
async def test_an_answer_without_a_body_goes_out_with_one_space(
    api: ScriptedRuntimeApi, path: str, method: str, query: str, status: int
) -> None:
    async with running(api.address, "app.handler"):
        call = await answered(api, path, method, query)
    assert call.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert (call.prelude["statusCode"], call.body) == (status, b" ")
    assert "content-length" not in call.prelude["headers"]
    assert bytes(call.raw).endswith(LAST_CHUNK)
    assert call.trailers == {}


async def test_an_answer_with_a_body_goes_out_as_it_is(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        unended = await answered(api, "/unended")
        sized = await answered(api, "/sized", query="3")
    assert unended.body == b"all there is"
    assert bytes(unended.raw).endswith(LAST_CHUNK)
    assert (sized.prelude["headers"], sized.body) == ({"content-length": "3"}, b"abc")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_head_of_a_stream_is_answered_while_the_app_still_streams(
    api: ScriptedRuntimeApi, method: str
) -> None:
    async with running(api.address, "app.handler", AWS_LAMBDA_MAX_CONCURRENCY="2"):
        request_id = api.invoke(function_url_event("/gated", method, "g"))
        call = await api.call(f"/{request_id}/response")
        if method == "HEAD":
            await api.until(lambda: call.complete)
        else:
            await api.until(lambda: call.payload.endswith(b"first,"))
            assert not call.complete
        opener = api.invoke(function_url_event("/open_gate", query="g"))
        await api.complete_call(f"/{opener}/response")
        await api.until(lambda: call.complete)
    assert call.body == (b" " if method == "HEAD" else b"first,second of 1")


async def test_an_app_that_dies_behind_its_prelude_ends_the_answer_as_broken(
    api: ScriptedRuntimeApi,
) -> None:
    async with running(api.address, "app.handler"):
        call = await answered(api, "/die_after_prelude")
    assert call.body == b" "
    assert call.trailers[ERROR_TYPE] == "ValueError"
    assert call.trailer_report["errorMessage"] == "the prelude has left"


@pytest.mark.parametrize(
    ("length", "body", "message"),
    [
        ("4", b" ", "The body is 1 bytes shorter than its Content-Length."),
        ("2", b" ", "The body is longer than its Content-Length."),
    ],
)
async def test_a_body_that_belies_its_length_ends_the_answer_as_broken(
    api: ScriptedRuntimeApi, length: str, body: bytes, message: str
) -> None:
    async with running(api.address, "app.handler"):
        call = await answered(api, "/sized", query=length)
    assert call.body == body
    assert call.trailers[ERROR_TYPE] == "UnexpectedMessageError"
    assert call.trailer_report["errorMessage"] == message
