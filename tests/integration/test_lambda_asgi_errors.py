"""Errors at every stage of an invocation: what Lambda is told, and that the next is served."""

import json

import pytest

from lambda_asgi.asgi import Receive, Scope, Send
from lambda_asgi.connection import Connection
from lambda_asgi.errors import RuntimeApiError
from lambda_asgi.invocation import run_invocation
from lambda_asgi.runtime_api import RuntimeApi
from tests.lambda_http_events import function_url_event
from tests.lambda_runtime.calls import ScriptedRuntimeApi
from tests.lambda_runtime.process import running

pytestmark = pytest.mark.anyio

ERROR_TYPE = "lambda-runtime-function-error-type"


async def _next_is_served(api: ScriptedRuntimeApi) -> None:
    request_id = api.invoke(function_url_event("/echo"))
    call = await api.complete_call(f"/invocation/{request_id}/response")
    assert json.loads(call.body)["requestId"] == request_id


@pytest.mark.parametrize(
    ("path", "error_type", "message"),
    [
        ("/fail_early", "ValueError", "before anything"),
        ("/fail_after_start", "ValueError", "no byte has left"),
        ("/silent", "ResponseMissingError", "The app returned without a response."),
        ("/cancel_itself", "CancelledError", "by itself"),
        ("/no_such_route", "KeyError", "'/no_such_route'"),
    ],
)
async def test_an_error_before_the_first_byte_is_an_invocation_error(
    api: ScriptedRuntimeApi, path: str, error_type: str, message: str
) -> None:
    async with running(api.address, "app.handler"):
        request_id = api.invoke(function_url_event(path))
        call = await api.complete_call(f"/invocation/{request_id}/error")
        await _next_is_served(api)
    report = json.loads(call.payload)
    assert call.headers[ERROR_TYPE] == error_type
    assert (report["errorType"], report["errorMessage"]) == (error_type, message)
    assert api.find(f"/{request_id}/response") is None
    if error_type == "ValueError":
        assert "app.py" in report["stackTrace"][-1]


async def test_headers_past_the_prelude_limit_are_an_invocation_error(
    api: ScriptedRuntimeApi,
) -> None:
    async with running(api.address, "app.handler"):
        request_id = api.invoke(function_url_event("/headers_too_large"))
        call = await api.complete_call(f"/invocation/{request_id}/error")
    assert "must stay under 16384" in json.loads(call.payload)["errorMessage"]


async def test_an_event_that_cannot_be_read_is_an_invocation_error(
    api: ScriptedRuntimeApi,
) -> None:
    async with running(api.address, "app.handler"):
        request_id = api.invoke(b"{not json")
        call = await api.complete_call(f"/invocation/{request_id}/error")
        await _next_is_served(api)
    assert call.headers[ERROR_TYPE] == "JSONDecodeError"


async def test_an_error_in_the_middle_comes_as_trailers(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        request_id = api.invoke(function_url_event("/fail_midway"))
        call = await api.complete_call(f"/invocation/{request_id}/response")
        await _next_is_served(api)
    assert call.body == b"some"
    assert call.trailers[ERROR_TYPE] == "ValueError"
    report = call.trailer_report
    assert (report["errorType"], report["errorMessage"]) == ("ValueError", "midway")
    assert "fail_midway" in report["stackTrace"][-1]
    assert api.find(f"/{request_id}/error") is None


async def test_an_error_after_the_last_byte_is_only_logged(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler") as runtime:
        request_id = api.invoke(function_url_event("/fail_late"))
        call = await api.complete_call(f"/invocation/{request_id}/response")
        await _next_is_served(api)
        runtime.process.terminate()
        await runtime.exit()
    assert (call.body, call.trailers) == (b"all", {})
    assert api.find(f"/{request_id}/error") is None
    assert b"failed after its last byte" in runtime.output
    assert b"too late to matter" in runtime.output


async def test_an_invocation_ends_at_its_deadline(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler"):
        await api.call("/next")
        request_id = api.invoke(function_url_event("/sleeping"), timeout_s=1)
        call = await api.complete_call(f"/invocation/{request_id}/response")
        await _next_is_served(api)
    assert call.body == b"sleeping"
    assert call.trailers[ERROR_TYPE] == "InvocationTimedOutError"


class OnceUnreachable(RuntimeApi):
    """Refuses the connection of one response."""

    refuses = False

    async def connect(self) -> Connection:
        """Connect, but for once."""
        if self.refuses:
            self.refuses = False
            raise RuntimeApiError("refused")
        return await super().connect()


async def test_an_answer_that_could_not_be_begun_is_an_invocation_error(
    api: ScriptedRuntimeApi,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"lost"})

    client = OnceUnreachable(api.address)
    request_id = api.invoke(function_url_event("/"))
    invocation = await client.next_invocation()
    client.refuses = True
    await run_invocation(app, invocation, client, {})
    call = await api.complete_call(f"/{request_id}/error")
    client.close()
    assert json.loads(call.payload)["errorType"] == "RuntimeApiError"
    assert api.find("/response") is None
