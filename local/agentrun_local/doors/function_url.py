"""The Function URL's door."""

import base64
import json
from collections.abc import Callable
from time import monotonic

from agentrun_local.doors.http_messages import (
    ClientGoneError,
    HttpRequest,
    Receive,
    RequestTooLargeError,
    Scope,
    Send,
    read_body,
    read_prelude,
    request_head,
    send_stream,
    send_whole,
)
from agentrun_local.doors.payload_v2 import function_url_event
from agentrun_local.doors.prelude import CONTENT_TYPE, MalformedAnswerError, Prelude, read_head
from agentrun_local.functions.invocation import (
    MAX_PAYLOAD_BYTES,
    FunctionError,
    Invocation,
    Invoker,
)
from agentrun_local.template.resources import FunctionUrl


class FunctionUrlDoor:
    """An ASGI app: payload 2.0 to one function, streamed or buffered as its invoke mode says."""

    def __init__(self, url: FunctionUrl, pool: Invoker, *, log: Callable[[str], None]) -> None:
        self._url = url
        self._pool = pool
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        started = monotonic()
        request = request_head(scope)
        try:
            whole = await read_body(request, receive, limit_bytes=MAX_PAYLOAD_BYTES)
            status = await self._serve(whole, send)
        except RequestTooLargeError:
            status = await _send_own(
                send, 413, f"Request must be smaller than {MAX_PAYLOAD_BYTES} bytes"
            )
        except ClientGoneError:
            return
        took_ms = (monotonic() - started) * 1000
        self._log(f"{request.method} {request.path} {status} {took_ms:.0f} ms")

    async def _serve(self, request: HttpRequest, send: Send) -> int:
        event = function_url_event(request)
        if len(event) > MAX_PAYLOAD_BYTES:
            raise RequestTooLargeError
        invocation = self._pool.invoke(event, trace_id=request.trace_id)
        try:
            if self._url.streaming:
                return await self._stream(invocation, send)
            return await self._buffer(invocation, send)
        except FunctionError as error:
            self._log(f"{self._url.function} failed: {error}")
        except MalformedAnswerError as error:
            invocation.abandon()
            self._log(f"{self._url.function} answered with something that is no response: {error}")
        return await _send_own(send, 502, "Internal Server Error")

    async def _stream(self, invocation: Invocation, send: Send) -> int:
        head = await invocation.head()
        if head.content_type.startswith(CONTENT_TYPE):
            prelude, first = await read_prelude(invocation)
        else:
            # Without a prelude Lambda passes on what the function wrote, byte for byte.
            content_type = head.content_type or "application/octet-stream"
            prelude, first = Prelude(200, (("content-type", content_type),)), b""
        await send_stream(send, prelude, first, invocation)
        return prelude.status

    async def _buffer(self, invocation: Invocation, send: Send) -> int:
        payload = await invocation.payload()
        try:
            document = json.loads(payload)
        except ValueError as error:
            raise MalformedAnswerError("It is not JSON.") from error
        if not isinstance(document, dict) or "statusCode" not in document:
            # Lambda then takes the whole answer for the body.
            await send_whole(send, 200, [("content-type", "application/json")], payload)
            return 200
        head = read_head(document)
        text = str(document.get("body") or "")
        body = base64.b64decode(text) if document.get("isBase64Encoded") else text.encode()
        headers = list(head.headers)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("content-type", "application/json"))
        await send_whole(send, head.status, headers, body)
        return head.status


async def _send_own(send: Send, status: int, message: str) -> int:
    body = json.dumps({"Message": message}).encode()
    await send_whole(send, status, [("content-type", "application/json")], body)
    return status
