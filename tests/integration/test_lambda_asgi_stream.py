"""What the runtime's process sends for a response, byte by byte."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.lambda_http_events import function_url_event
from tests.lambda_runtime.calls import Call, ScriptedRuntimeApi
from tests.lambda_runtime.process import running

pytestmark = pytest.mark.anyio

REST_EVENT = json.loads((Path(__file__).parent / "lambda_asgi_apps" / "rest.json").read_text())

FASTAPI_APP = """
import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()

@app.get("/tokens")
def tokens() -> StreamingResponse:
    async def generate():
        for index in range(3):
            yield f"t{index};"
            await asyncio.sleep(0)
    return StreamingResponse(generate(), media_type="text/event-stream")
"""


async def _response(api: ScriptedRuntimeApi, event: object) -> Call:
    request_id = api.invoke(event)
    return await api.complete_call(f"/invocation/{request_id}/response")


async def test_a_response_is_streamed_as_the_runtime_api_documents(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        call = await _response(api, function_url_event("/echo", "POST", "a=1&a=2", "hello"))
    assert call.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert call.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert call.headers["transfer-encoding"] == "chunked"
    assert call.headers["trailer"] == (
        "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    )
    assert call.prelude == {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "cookies": ["a=1"],
    }
    assert len(call.chunks) == 1
    assert call.trailers == {}
    assert bytes(call.raw).endswith(b"\r\n0\r\n\r\n")


async def test_the_app_sees_the_event_and_the_invocation(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        call = await _response(api, function_url_event("/echo", "POST", "a=1&a=2", "hello"))
    seen = json.loads(call.body)
    assert 0 < seen.pop("remainingMs") <= 60_000
    assert seen == {
        "method": "POST",
        "path": "/echo",
        "query": "a=1&a=2",
        "body": "hello",
        "state": {"started": True},
        "requestId": "request-1",
        "contextRequestId": "request-1",
        "traceId": "Root=1-1",
        "traceVariable": "Root=1-1",
        "arn": "arn:aws:lambda:eu-west-1:1:function:stream",
        "event": "2.0",
    }


async def test_a_rest_api_event_is_streamed_too(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        call = await _response(api, REST_EVENT)
    seen = json.loads(call.body)
    assert (seen["path"], seen["query"], seen["body"]) == ("/echo", "x=1&x=2", '{"m": 1}')


async def test_the_attempt_id_is_sent_back(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        request_id = api.invoke(
            function_url_event("/empty"), Lambda_Runtime_Invocation_Id="attempt-7"
        )
        call = await api.complete_call(f"/{request_id}/response")
    assert call.headers["lambda-runtime-invocation-id"] == "attempt-7"


async def test_each_message_leaves_as_a_chunk_and_a_burst_as_two(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        call = await _response(api, function_url_event("/paced"))
    assert call.chunks[0].endswith(bytes(8) + b"one")
    assert call.chunks[1:] == [b"two", b"three", b"a", b"bcd", b"end"]


async def test_the_first_byte_leaves_before_the_app_lets_go_of_the_loop(
    api: ScriptedRuntimeApi, tmp_path: Path
) -> None:
    pipe = tmp_path / "gate"
    os.mkfifo(pipe)
    async with running(api.address, "app.handler", GATE_PIPE=str(pipe)):
        api.invoke(function_url_event("/blocking_burst"))
        call = await api.call("/response")
        await api.until(lambda: call.payload.endswith(b"START"))
        await asyncio.to_thread(pipe.write_text, "go")
        await api.until(lambda: call.complete)
    assert call.body == b"STARTEND"


async def test_a_prelude_without_a_body_leaves_on_its_own(api: ScriptedRuntimeApi) -> None:
    async with running(
        api.address, "app.handler", GATE_PIPE="unused", AWS_LAMBDA_MAX_CONCURRENCY="2"
    ):
        request_id = api.invoke(function_url_event("/prelude_first", query="p"))
        call = await api.call(f"/{request_id}/response")
        await api.until(lambda: call.payload.endswith(bytes(8)))
        api.invoke(function_url_event("/open_gate", query="p"))
        await api.until(lambda: call.complete)
    assert call.body == b"later"


async def test_six_megabytes_arrive_whole(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        call = await _response(api, function_url_event("/large"))
    assert call.body == b"x" * 6 * 1024 * 1024


async def test_an_app_runs_on_when_its_connection_breaks(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler") as runtime:
        api.break_next_response = True
        api.invoke(function_url_event("/disconnected"))
        await _response(api, function_url_event("/empty"))
        runtime.process.terminate()
        assert await runtime.exit() == 0
    assert b"ran to its end: http.disconnect" in runtime.output


async def test_a_refused_response_does_not_stop_the_runtime(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler") as runtime:
        api.response_status = 413
        await _response(api, function_url_event("/empty"))
        api.response_status = 202
        await _response(api, function_url_event("/empty"))
        runtime.process.terminate()
        assert await runtime.exit() == 0
    assert b"answered 413" in runtime.output


async def test_a_warm_up_is_answered_without_the_app(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        call = await _response(api, {"source": "aws.events", "detail-type": "Scheduled Event"})
    assert call.headers["content-type"] == "application/json"
    assert "lambda-runtime-function-response-mode" not in call.headers
    assert json.loads(call.payload) == {"handled": False, "reason": "not an HTTP event"}


async def test_invocations_run_side_by_side(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler", AWS_LAMBDA_MAX_CONCURRENCY="3"):
        ids = [api.invoke(function_url_event("/gated", query="g")) for _ in range(2)]
        calls = [await api.call(f"/{request_id}/response") for request_id in ids]
        for call in calls:
            await api.until(lambda call=call: call.payload.endswith(b"first,"))  # type: ignore[misc]  # mypy cannot infer a lambda's default argument
        api.invoke(function_url_event("/open_gate", query="g"))
        for call in calls:
            await api.until(lambda call=call: call.complete)  # type: ignore[misc]  # as above
        echoed = await _response(api, function_url_event("/echo"))
    assert sorted(call.body for call in calls) == [b"first,second of 1", b"first,second of 2"]
    seen = json.loads(echoed.body)
    assert seen["requestId"] == seen["contextRequestId"] == "request-4"
    assert (seen["traceId"], seen["traceVariable"]) == ("Root=1-4", None)


async def test_a_fastapi_app_streams_as_it_yields(api: ScriptedRuntimeApi, tmp_path: Path) -> None:
    (tmp_path / "api.py").write_text(FASTAPI_APP)
    async with running(api.address, "api.app", tmp_path):
        call = await _response(api, function_url_event("/tokens"))
        missing = await _response(api, function_url_event("/nowhere"))
    assert call.prelude["headers"]["content-type"] == "text/event-stream; charset=utf-8"
    assert [chunk[-3:] for chunk in call.chunks] == [b"t0;", b"t1;", b"t2;"]
    assert missing.prelude["statusCode"] == 404


async def test_context_variables_end_with_the_invocation(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        calls = [await _response(api, function_url_event("/leave_mark")) for _ in range(2)]
    assert [call.body for call in calls] == [b"clean", b"clean"]


async def test_a_poll_is_repeated_when_an_idle_connection_has_been_dropped(
    api: ScriptedRuntimeApi,
) -> None:
    async with running(api.address, "app.handler"):
        await api.call("/next")
        api.break_next_poll = True
        await _response(api, function_url_event("/empty"))
        await _response(api, function_url_event("/empty"))
    assert len(api.connections_of("/next")) == 2


async def test_one_connection_serves_all_polls(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        for _ in range(3):
            await _response(api, function_url_event("/empty"))
        await api.until(lambda: sum(c.path.endswith("/next") for c in api.calls) == 4)
    assert len(api.connections_of("/next")) == 1
    assert len(api.connections_of("/response")) == 3
