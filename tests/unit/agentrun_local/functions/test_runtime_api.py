"""The Runtime API over real sockets, spoken as its documentation says."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import httpx
import pytest

from agentrun_local.functions.invocation import FunctionError, Invocation
from agentrun_local.functions.runtime_api import RuntimeApi

ROOT = "/2018-06-01/runtime"
STREAMING = {
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
}
pytestmark = pytest.mark.anyio


class Source:
    """Hands out what it is given, and notes what it is told."""

    function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:F"

    def __init__(self) -> None:
        self.events: asyncio.Queue[Invocation] = asyncio.Queue()
        self.handed_out: dict[str, Invocation] = {}
        self.over: list[Invocation] = []
        self.init_error: FunctionError | None = None
        self.retired = False

    def put(self, event: bytes = b"{}") -> Invocation:
        invocation = Invocation(event)
        self.handed_out[invocation.request_id] = invocation
        self.events.put_nowait(invocation)
        return invocation

    async def next_invocation(self) -> Invocation:
        return await self.events.get()

    def in_flight(self, request_id: str) -> Invocation | None:
        return self.handed_out.get(request_id)

    def finished(self, invocation: Invocation) -> None:
        self.over.append(invocation)
        self.handed_out.pop(invocation.request_id)

    def retire(self) -> None:
        self.retired = True

    def init_failed(self, error: FunctionError) -> None:
        self.init_error = error


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
async def api(source: Source) -> AsyncIterator[str]:
    runtime_api = RuntimeApi(source)
    address = await runtime_api.start()
    yield address
    runtime_api.close()


@pytest.fixture
async def client(api: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{api}{ROOT}", timeout=10) as client:
        yield client


class RawRuntime:
    """A runtime that writes its own chunks, trailers included."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.CLIENT)

    def send(self, event: h11.Event) -> None:
        self.writer.write(self.http.send(event) or b"")

    async def status(self) -> int:
        while True:
            event = self.http.next_event()
            if isinstance(event, h11.Response):
                return event.status_code
            assert event is h11.NEED_DATA
            self.http.receive_data(await self.reader.read(65536))


@asynccontextmanager
async def streaming_runtime(api: str, invocation: Invocation) -> AsyncIterator[RawRuntime]:
    host, port = api.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    runtime = RawRuntime(reader, writer)
    headers = [("Host", api), *STREAMING.items()]
    target = f"{ROOT}/invocation/{invocation.request_id}/response"
    runtime.send(h11.Request(method="POST", target=target, headers=headers))
    yield runtime
    writer.close()
    await writer.wait_closed()


async def test_next_hands_out_the_event_with_its_headers(
    source: Source, client: httpx.AsyncClient
) -> None:
    waiting = asyncio.ensure_future(client.get("/invocation/next"))
    invocation = source.put(b'{"a":1}')
    invocation.deadline_ms = 1234
    answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"a": 1})
    assert answer.headers["lambda-runtime-aws-request-id"] == invocation.request_id
    assert answer.headers["lambda-runtime-deadline-ms"] == "1234"
    assert answer.headers["lambda-runtime-invoked-function-arn"] == source.function_arn
    assert answer.headers["lambda-runtime-trace-id"] == invocation.trace_id


async def test_one_connection_serves_one_invocation_after_the_other(
    source: Source, client: httpx.AsyncClient
) -> None:
    for payload in (b'"one"', b'"two"'):
        invocation = source.put()
        await client.get("/invocation/next")
        path = f"/invocation/{invocation.request_id}/response"
        assert (await client.post(path, content=payload)).status_code == 202
        assert await invocation.payload() == payload


async def test_a_poller_that_hangs_up_takes_no_event(
    source: Source, api: str, client: httpx.AsyncClient
) -> None:
    host, port = api.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {ROOT}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    # Answered after the above has been seen: both go through the same event loop.
    assert (await client.get("/nothing")).status_code == 404
    source.put(b'"event"')
    assert (await client.get("/invocation/next")).json() == "event"


async def test_an_answer_to_an_unknown_request_is_a_400(client: httpx.AsyncClient) -> None:
    for what in ("response", "error"):
        answer = await client.post(f"/invocation/none/{what}", content=b"{}")
        assert (answer.status_code, answer.json()["errorType"]) == (400, "InvalidRequestID")


async def test_a_second_answer_is_a_400(source: Source, client: httpx.AsyncClient) -> None:
    invocation = source.put()
    path = f"/invocation/{invocation.request_id}/response"
    assert (await client.post(path, content=b"1")).status_code == 202
    assert (await client.post(path, content=b"2")).status_code == 400
    assert await invocation.payload() == b"1"


@pytest.mark.parametrize(("size", "status"), [(6_291_556, 202), (6_291_557, 413)])
async def test_a_buffered_response_has_6_mb(
    source: Source, client: httpx.AsyncClient, size: int, status: int
) -> None:
    invocation = source.put()
    reading = asyncio.ensure_future(invocation.payload())
    path = f"/invocation/{invocation.request_id}/response"
    assert (await client.post(path, content=bytes(size))).status_code == status
    if status == 202:
        assert len(await reading) == size
    else:
        with pytest.raises(FunctionError, match="ResponseSizeTooLarge"):
            await reading
    assert source.over == [invocation]


async def test_an_error_reaches_the_caller(source: Source, client: httpx.AsyncClient) -> None:
    invocation = source.put()
    report = {"errorType": "ValueError", "errorMessage": "as told", "stackTrace": []}
    answer = await client.post(f"/invocation/{invocation.request_id}/error", json=report)
    assert answer.status_code == 202
    with pytest.raises(FunctionError) as error:
        await invocation.payload()
    assert (error.value.error_type, error.value.message) == ("ValueError", "as told")
    assert json.loads(error.value.payload) == report


async def test_an_error_without_a_document_has_the_type_of_its_header(
    source: Source, client: httpx.AsyncClient
) -> None:
    invocation = source.put()
    headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.Unknown"}
    path = f"/invocation/{invocation.request_id}/error"
    assert (await client.post(path, content=b"?", headers=headers)).status_code == 202
    with pytest.raises(FunctionError, match=r"Runtime\.Unknown"):
        await invocation.payload()


async def test_an_init_error_is_noted(source: Source, client: httpx.AsyncClient) -> None:
    report = {"errorType": "Runtime.ImportModuleError", "errorMessage": "no module"}
    assert (await client.post("/init/error", json=report)).status_code == 202
    assert source.init_error is not None
    assert source.init_error.error_type == "Runtime.ImportModuleError"


async def test_a_chunk_is_handed_on_before_the_next_is_sent(source: Source, api: str) -> None:
    invocation = source.put()
    async with streaming_runtime(api, invocation) as runtime:
        head = await invocation.head()
        assert head.streaming
        assert head.content_type == STREAMING["Content-Type"]
        body = aiter(invocation.body())
        for chunk in (b"one", b"two"):
            runtime.send(h11.Data(data=chunk))
            assert await anext(body) == chunk
        runtime.send(h11.EndOfMessage())
        assert await runtime.status() == 202
        assert [chunk async for chunk in body] == []
    assert source.over == [invocation]


async def test_trailers_are_an_error_after_the_bytes(source: Source, api: str) -> None:
    invocation = source.put()
    document = {"errorType": "ValueError", "errorMessage": "as told"}
    trailers = [
        ("Lambda-Runtime-Function-Error-Type", "ValueError"),
        (
            "Lambda-Runtime-Function-Error-Body",
            base64.b64encode(json.dumps(document).encode()).decode(),
        ),
    ]
    async with streaming_runtime(api, invocation) as runtime:
        runtime.send(h11.Data(data=b"one"))
        runtime.send(h11.EndOfMessage(headers=trailers))
        assert await runtime.status() == 202
    body = aiter(invocation.body())
    assert await anext(body) == b"one"
    with pytest.raises(FunctionError) as error:
        await anext(body)
    assert json.loads(error.value.payload) == document


async def test_trailers_that_cannot_be_read_are_an_error_all_the_same(
    source: Source, api: str
) -> None:
    invocation = source.put()
    trailers = [
        ("Lambda-Runtime-Function-Error-Type", "Odd"),
        ("Lambda-Runtime-Function-Error-Body", "no base64!"),
    ]
    async with streaming_runtime(api, invocation) as runtime:
        runtime.send(h11.EndOfMessage(headers=trailers))
        assert await runtime.status() == 202
    with pytest.raises(FunctionError, match="Odd"):
        await invocation.payload()


async def test_a_response_that_breaks_off_is_an_error(source: Source, api: str) -> None:
    invocation = source.put()
    async with streaming_runtime(api, invocation) as runtime:
        runtime.send(h11.Data(data=b"one"))
        assert await anext(aiter(invocation.body())) == b"one"
    with pytest.raises(FunctionError, match="TruncatedResponse"):
        await invocation.payload()
    assert source.over == [invocation]
    assert source.retired
