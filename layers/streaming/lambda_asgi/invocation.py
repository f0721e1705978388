"""One invocation, from its event to the Runtime API's acknowledgement."""

import asyncio
import json
import logging
from typing import Any

from lambda_asgi.asgi import ASGIApp, Message
from lambda_asgi.context import LambdaContext
from lambda_asgi.errors import (
    ErrorReport,
    InvocationTimedOutError,
    ResponseMissingError,
    RuntimeApiError,
)
from lambda_asgi.events import NOT_HTTP, HttpEvent, read_http_event
from lambda_asgi.runtime_api import Invocation, RuntimeApi
from lambda_asgi.streamed_response import StreamedResponse

_logger = logging.getLogger(__name__)


async def run_invocation(
    app: ASGIApp, invocation: Invocation, api: RuntimeApi, state: dict[str, Any]
) -> None:
    """
    Answer one event with `app`; return when Lambda may freeze or reuse the process.

    Errors are reported to Lambda and logged; only a cancellation is raised.

    Args:
        app: The ASGI app; not called for events that are not HTTP requests.
        invocation: The event and its context.
        api: Where to answer.
        state: The lifespan's state; the app gets a shallow copy.
    """
    try:
        request = read_http_event(json.loads(invocation.event), invocation.context)
    except Exception as exc:  # noqa: BLE001 - a bad event must not stop the next one
        await _report_error(api, invocation, exc)
        return
    if request is None:
        await _answer_not_http(api, invocation)
    else:
        request.scope["state"] = state.copy()
        await _stream(app, request, invocation, api)


async def _stream(
    app: ASGIApp, request: HttpEvent, invocation: Invocation, api: RuntimeApi
) -> None:
    head = api.response_head(invocation)
    response = StreamedResponse(request.scope["method"], head, api.connect)
    response.connect_ahead()
    try:
        await _call_app(app, request, response, invocation.context)
        response.end()
    except asyncio.CancelledError as exc:
        await _fail(api, invocation, response, exc)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    except Exception as exc:  # noqa: BLE001 - the last resort: the app's error becomes Lambda's
        await _fail(api, invocation, response, exc)
    else:
        await _acknowledge(api, invocation, response)


async def _call_app(
    app: ASGIApp, request: HttpEvent, response: StreamedResponse, context: LambdaContext
) -> None:
    body: list[Message] = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        if body:
            return body.pop()
        # Lambda does not report that a client left: the only disconnect is the response's end.
        await response.wait_until_complete()
        return {"type": "http.disconnect"}

    remaining_s = context.get_remaining_time_in_millis() / 1000 if context.deadline_ms else None
    deadline = asyncio.timeout(remaining_s)
    try:
        async with deadline:
            await app(request.scope, receive, response.send)
    except TimeoutError as exc:
        if not deadline.expired():
            raise
        raise InvocationTimedOutError("The invocation's deadline has passed.") from exc
    if not response.started:
        raise ResponseMissingError("The app returned without a response.")


async def _fail(
    api: RuntimeApi, invocation: Invocation, response: StreamedResponse, error: BaseException
) -> None:
    """Report an error: by trailers once a byte was sent, as an invocation error before that."""
    if response.complete:
        _logger.error("The app failed after its last byte.", exc_info=error)
        await _acknowledge(api, invocation, response)
    elif response.bytes_sent:
        _logger.error("The app failed in the middle of its response.", exc_info=error)
        response.fail(ErrorReport.of(error))
        await _acknowledge(api, invocation, response)
    else:
        response.discard()
        await _report_error(api, invocation, error)


async def _report_error(api: RuntimeApi, invocation: Invocation, error: BaseException) -> None:
    _logger.error("The invocation failed before its first byte.", exc_info=error)
    try:
        await api.report_error(invocation, ErrorReport.of(error))
    except RuntimeApiError:
        _logger.exception("The error could not be reported.")


async def _answer_not_http(api: RuntimeApi, invocation: Invocation) -> None:
    try:
        await api.respond(invocation, json.dumps(NOT_HTTP).encode())
    except RuntimeApiError:
        _logger.exception("The result could not be sent.")


async def _acknowledge(api: RuntimeApi, invocation: Invocation, response: StreamedResponse) -> None:
    try:
        await response.acknowledged()
    except RuntimeApiError as exc:
        if response.bytes_sent:
            _logger.exception("The response did not arrive.")
        else:
            # Otherwise Lambda would wait for an answer until the function's time-out.
            await _report_error(api, invocation, exc)
