"""The REST API's door: API Gateway, as far as a client and a function can tell."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic

from agentrun_local.doors.authorizer import LambdaAuthorizer
from agentrun_local.doors.gateway_answers import (
    GatewayError,
    function_failed,
    integration_timed_out,
    request_too_large,
    word,
)
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
from agentrun_local.doors.payload_v1 import RoutedRequest, matches_media_type, proxy_event
from agentrun_local.doors.prelude import CONTENT_TYPE, MalformedAnswerError, Prelude, read_head
from agentrun_local.doors.rest_definition import MockAnswer, RestApi, Route
from agentrun_local.doors.routing import RouteTable, base_path_of
from agentrun_local.functions.invocation import (
    MAX_PAYLOAD_BYTES,
    FunctionError,
    Invocation,
    Invoker,
)

MAX_REQUEST_BYTES = 10 * 1024 * 1024
"""API Gateway's limit for a payload."""

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_REMAPPED = frozenset({"authorization", "date", "host", "server", "www-authenticate"})


class RestApiDoor:
    """An ASGI app: authorizer, routing, payload 1.0, buffered and streamed integrations."""

    def __init__(
        self,
        api: RestApi,
        pools: Mapping[str, Invoker],
        *,
        log: Callable[[str], None],
    ) -> None:
        self._api = api
        self._pools = pools
        self._log = log
        self._routes = RouteTable(api.routes)
        self._authorizers = {
            name: LambdaAuthorizer(definition, pools[definition.function], log=log)
            for name, definition in api.authorizers.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        request = request_head(scope)
        try:
            await self._serve(await _with_body(request, receive), send)
        except GatewayError as error:
            status, headers, body = word(error, self._api.gateway_responses, request)
            self._log(f"{request.method} {request.path} {status} {error.response_type}")
            await send_whole(send, status, headers, body)
        except ClientGoneError:
            pass

    async def _serve(self, request: HttpRequest, send: Send) -> None:
        started = monotonic()
        base_path = base_path_of(request.path, self._api.base_path)
        path = request.path.removeprefix(base_path)
        route, parameters = self._routes.match(request.method, path)
        if route.mock is not None:
            await _send_mock(send, route.mock)
            return
        routed = RoutedRequest(
            request,
            self._api.stage,
            route.resource,
            parameters,
            base_path=base_path,
            binary_media_types=self._api.binary_media_types,
        )
        if route.authorizer is not None:
            context = await self._authorizers[route.authorizer].authorize(routed)
            routed = replace(routed, authorizer=context)
        status = await self._integrate(route, routed, send)
        took_ms = (monotonic() - started) * 1000
        self._log(f"{request.method} {request.path} {status} {took_ms:.0f} ms")

    async def _integrate(self, route: Route, request: RoutedRequest, send: Send) -> int:
        event = proxy_event(request)
        # In the event the body is a JSON string, and the event has a limit of its own.
        if len(event) > MAX_PAYLOAD_BYTES:
            raise request_too_large()
        invocation = self._pools[route.function or ""].invoke(event, trace_id=request.http.trace_id)
        answer = self._stream if route.streaming else self._buffer
        try:
            return await answer(route, invocation, send)
        except FunctionError as error:
            self._log(f"{route.function} failed: {error}")
            raise function_failed() from error
        except MalformedAnswerError as error:
            invocation.abandon()
            self._log(f"{route.function} answered with something that is no response: {error}")
            raise function_failed() from error
        except TimeoutError as error:
            invocation.abandon()
            raise integration_timed_out() from error

    async def _stream(self, route: Route, invocation: Invocation, send: Send) -> int:
        async with asyncio.timeout(route.timeout_s):
            head = await invocation.head()
            if not head.streaming or not head.content_type.startswith(CONTENT_TYPE):
                raise MalformedAnswerError("It is not streamed with a prelude.")
            prelude, first = await read_prelude(invocation)
        shown = Prelude(prelude.status, _remapped(prelude.headers))
        await send_stream(send, shown, first, invocation)
        return prelude.status

    async def _buffer(self, route: Route, invocation: Invocation, send: Send) -> int:
        async with asyncio.timeout(route.timeout_s):
            payload = await invocation.payload()
        try:
            document = json.loads(payload)
        except ValueError as error:
            raise MalformedAnswerError("It is not JSON.") from error
        if not isinstance(document, dict) or "statusCode" not in document:
            raise MalformedAnswerError("It has no statusCode.")
        head = read_head(document)
        body = document.get("body") or ""
        if not isinstance(body, str):
            raise MalformedAnswerError("Its body is not a string.")
        content_type = next((v for n, v in head.headers if n.lower() == "content-type"), "")
        # API Gateway decodes only what it is told is binary; anything else goes out as it stands.
        decodes = matches_media_type(self._api.binary_media_types, content_type)
        is_base64 = bool(document.get("isBase64Encoded")) and decodes
        headers = _remapped(head.headers)
        if not content_type:
            headers = (*headers, ("content-type", "application/json"))
        raw = base64.b64decode(body) if is_base64 else body.encode("utf-8", "replace")
        await send_whole(send, head.status, headers, raw)
        return head.status


async def _with_body(request: HttpRequest, receive: Receive) -> HttpRequest:
    try:
        return await read_body(request, receive, limit_bytes=MAX_REQUEST_BYTES)
    except RequestTooLargeError as error:
        raise request_too_large() from error


async def _send_mock(send: Send, mock: MockAnswer) -> None:
    headers = [("content-type", "application/json"), *mock.headers.items()]
    await send_whole(send, mock.status, headers, mock.body.encode())


def _remapped(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"x-amzn-remapped-{name.lower()}" if name.lower() in _REMAPPED else name, value)
        for name, value in headers
    )
