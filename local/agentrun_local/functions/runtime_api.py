"""
The Lambda Runtime API, version 2018-06-01, for one execution environment.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed responses
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from typing import Protocol

import h11

from agentrun_local.doors.http_connection import ConnectionBrokenError, HttpConnection
from agentrun_local.functions.invocation import (
    MAX_PAYLOAD_BYTES,
    TRUNCATED,
    FunctionError,
    Invocation,
    ResponseHead,
)

_ROOT = "/2018-06-01/runtime/"
_ERROR_TYPE = "lambda-runtime-function-error-type"
_ERROR_BODY = "lambda-runtime-function-error-body"


class InvocationSource(Protocol):
    """What stands behind a Runtime API: the execution environment."""

    @property
    def function_arn(self) -> str:
        """The ARN that the runtime is told."""
        ...

    async def next_invocation(self) -> Invocation:
        """Wait for the next event, for as long as it takes."""
        ...

    def in_flight(self, request_id: str) -> Invocation | None:
        """Find an invocation that was handed out and is not over."""
        ...

    def finished(self, invocation: Invocation) -> None:
        """Take note that an invocation is over."""
        ...

    def retire(self) -> None:
        """Take no more invocations: the runtime is going, or has gone."""
        ...

    def init_failed(self, error: FunctionError) -> None:
        """Take note that the runtime cannot serve."""
        ...


class RuntimeApi:
    """Serves one runtime process on a loopback port of its own."""

    def __init__(self, source: InvocationSource) -> None:
        self._source = source
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen, and give the value for AWS_LAMBDA_RUNTIME_API."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def close(self) -> None:
        """Take no more connections; those that are open end with their process."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = HttpConnection(reader, writer)
        try:
            while request := await connection.request():
                await self._answer(connection, request)
        except ConnectionBrokenError:
            pass
        finally:
            connection.close()

    async def _answer(self, connection: HttpConnection, request: h11.Request) -> None:
        path = request.target.decode("ascii", "replace").removeprefix(_ROOT)
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        match [request.method.decode(), *path.split("/")]:
            case ["GET", "invocation", "next"]:
                await self._next(connection)
            case ["POST", "invocation", request_id, "response"]:
                await self._response(connection, request_id, headers)
            case ["POST", "invocation", request_id, "error"]:
                await self._error(connection, request_id, headers)
            case ["POST", "init", "error"]:
                self._source.init_failed(_reported(headers, await _read_all(connection)))
                await _accept(connection)
            case _:
                await _read_all(connection)
                await _refuse(connection, 404, "NotFound", "There is no such endpoint.")

    async def _next(self, connection: HttpConnection) -> None:
        await _read_all(connection)
        invocation = await self._wait_for_invocation(connection)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self._source.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        await connection.respond(200, headers, invocation.event)

    async def _wait_for_invocation(self, connection: HttpConnection) -> Invocation:
        waiting = asyncio.ensure_future(self._source.next_invocation())
        gone = asyncio.ensure_future(connection.wait_for_peer())
        try:
            await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ConnectionBrokenError
            return waiting.result()
        finally:
            waiting.cancel()
            gone.cancel()
            # Until it has really stopped reading, nobody else can read.
            await asyncio.wait((gone,))

    async def _response(
        self, connection: HttpConnection, request_id: str, headers: dict[str, str]
    ) -> None:
        invocation = self._source.in_flight(request_id)
        if invocation is None or invocation.begun:
            await _read_all(connection)
            await _refuse(connection, 400, "InvalidRequestID", "Invalid request ID")
            return
        streaming = headers.get("lambda-runtime-function-response-mode", "") == "streaming"
        head = ResponseHead(streaming, headers.get("content-type", ""))
        if streaming:
            await self._stream(connection, invocation, head)
        else:
            await self._buffer(connection, invocation, head)

    async def _stream(
        self, connection: HttpConnection, invocation: Invocation, head: ResponseHead
    ) -> None:
        invocation.begin(head)
        try:
            async for chunk in connection.chunks():
                await invocation.write(chunk)
        except ConnectionBrokenError:
            # A killed process is noticed here first; nobody may be sent to it meanwhile.
            self._source.retire()
            invocation.fail(FunctionError(TRUNCATED, "Response truncated"))
            self._source.finished(invocation)
            raise
        if _ERROR_TYPE in connection.trailers:
            invocation.fail(_from_trailers(connection.trailers))
        else:
            invocation.end()
        self._source.finished(invocation)
        await _accept(connection)

    async def _buffer(
        self, connection: HttpConnection, invocation: Invocation, head: ResponseHead
    ) -> None:
        payload = await _read_all(connection)
        if len(payload) > MAX_PAYLOAD_BYTES:
            message = (
                f"Response payload size ({len(payload)} bytes) exceeded maximum allowed payload "
                f"size ({MAX_PAYLOAD_BYTES} bytes)."
            )
            invocation.fail(FunctionError("Function.ResponseSizeTooLarge", message))
            self._source.finished(invocation)
            await _refuse(connection, 413, "RequestEntityTooLarge", message)
            return
        invocation.begin(head)
        await invocation.write(payload)
        invocation.end()
        self._source.finished(invocation)
        await _accept(connection)

    async def _error(
        self, connection: HttpConnection, request_id: str, headers: dict[str, str]
    ) -> None:
        error = _reported(headers, await _read_all(connection))
        invocation = self._source.in_flight(request_id)
        if invocation is None or invocation.begun:
            await _refuse(connection, 400, "InvalidRequestID", "Invalid request ID")
            return
        invocation.fail(error)
        self._source.finished(invocation)
        await _accept(connection)


async def _read_all(connection: HttpConnection) -> bytes:
    return b"".join([chunk async for chunk in connection.chunks()])


async def _accept(connection: HttpConnection) -> None:
    await connection.respond(202, {"Content-Type": "application/json"}, b'{"status":"OK"}\n')


async def _refuse(connection: HttpConnection, status: int, error: str, message: str) -> None:
    body = json.dumps({"errorType": error, "errorMessage": message}).encode()
    await connection.respond(status, {"Content-Type": "application/json"}, body)


def _reported(headers: dict[str, str], payload: bytes) -> FunctionError:
    try:
        document = json.loads(payload)
        message = str(document["errorMessage"])
        error_type = str(document.get("errorType") or headers.get(_ERROR_TYPE, "Unhandled"))
    except (ValueError, KeyError, TypeError, AttributeError):
        message, error_type = "", headers.get(_ERROR_TYPE, "Unhandled")
    return FunctionError(error_type, message, payload)


def _from_trailers(trailers: Mapping[str, str]) -> FunctionError:
    try:
        body = base64.b64decode(trailers.get(_ERROR_BODY, ""), validate=True)
    except binascii.Error:
        body = b""
    return _reported({_ERROR_TYPE: trailers[_ERROR_TYPE]}, body)
