"""When which bytes of a response leave, on a transport that only records."""

import asyncio
import re

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_asgi.connection import Connection
from lambda_asgi.context import context_from_headers
from lambda_asgi.errors import ErrorReport, RuntimeApiError
from lambda_asgi.response import FILLER
from lambda_asgi.runtime_api import Invocation, RuntimeApi
from lambda_asgi.streamed_response import StreamedResponse
from tests.unit.lambda_asgi.fake_transport import RecordingTransport, connected, decode

pytestmark = pytest.mark.anyio

START = {"type": "http.response.start", "status": 200, "headers": []}
PRELUDE = b'{"statusCode":200,"headers":{},"cookies":[]}' + bytes(8)
HEAD = h11.Request(
    method="POST", target="/r", headers=[("Host", "h"), ("Transfer-Encoding", "chunked")]
)
INVOCATION = Invocation(context_from_headers({"lambda-runtime-aws-request-id": "r"}), b"")


def body(data: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def begun(
    method: str = "GET",
) -> tuple[StreamedResponse, Connection, RecordingTransport]:
    """Return a response whose app has sent its start."""
    connection, transport = connected()

    async def connect() -> Connection:
        return connection

    response = StreamedResponse(method, HEAD, connect)
    await response.send(START)
    return response, connection, transport


def chunks(transport: RecordingTransport) -> list[bytes]:
    """Return the payload of each write after the head; every write is one whole chunk."""
    payloads = []
    for write in transport.writes[1:]:
        if write == b"0\r\n\r\n":
            continue
        match = re.fullmatch(rb"([0-9a-f]+)\r\n(.*?)\r\n(0\r\n\r\n)?", write, re.DOTALL)
        assert match is not None
        assert int(match[1], 16) == len(match[2])
        payloads.append(match[2])
    return payloads


@pytest.mark.parametrize("first", [b"first", b""])
async def test_the_prelude_leaves_with_the_first_body_message(first: bytes) -> None:
    response, _, transport = await begun()
    assert transport.writes == []
    await response.send(body(first))
    assert chunks(transport) == [PRELUDE + first]


async def test_the_prelude_leaves_alone_when_the_tick_ends() -> None:
    _, _, transport = await begun()
    await asyncio.sleep(0)
    assert chunks(transport) == [PRELUDE]


async def test_a_message_in_a_tick_of_its_own_leaves_at_once() -> None:
    response, _, transport = await begun()
    for part in (b"1", b"2", b"3"):
        await response.send(body(part))
        assert chunks(transport)[-1].endswith(part)
        await asyncio.sleep(0)
    assert chunks(transport) == [PRELUDE + b"1", b"2", b"3"]


async def test_what_follows_in_the_same_tick_leaves_in_one_chunk() -> None:
    response, _, transport = await begun()
    for part in (b"1", b"2", b"3"):
        await response.send(body(part))
    assert chunks(transport) == [PRELUDE + b"1"]
    await asyncio.sleep(0)
    assert chunks(transport) == [PRELUDE + b"1", b"23"]


async def test_the_last_message_leaves_with_the_end_of_the_body() -> None:
    response, _, transport = await begun()
    await response.send(body(b"1"))
    await response.send(body(b"2"))
    await response.send(body(b"3", more=False))
    assert transport.writes[-1] == b"2\r\n23\r\n0\r\n\r\n"
    assert response.complete


async def test_a_burst_without_end_lets_other_tasks_run() -> None:
    response, _, _ = await begun()
    others_ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(others_ran.set)
    sent = 0
    while not others_ran.is_set():
        await response.send(body(b"x" * 1024))
        sent += 1
    assert sent <= 20


async def test_send_waits_while_the_socket_is_full() -> None:
    response, connection, transport = await begun()
    connection.pause_writing()
    sending = asyncio.create_task(response.send(body(b"1")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not sending.done()
    connection.resume_writing()
    await sending
    assert chunks(transport) == [PRELUDE, b"1"]


async def test_a_sender_is_released_when_the_connection_breaks() -> None:
    response, connection, transport = await begun()
    await response.send(body(b"1"))
    connection.pause_writing()
    sending = asyncio.create_task(response.send(body(b"2")))
    await asyncio.sleep(0)
    connection.connection_lost(None)
    await sending
    written = len(transport.writes)
    await response.send(body(b"3", more=False))
    assert len(transport.writes) == written
    with pytest.raises(RuntimeApiError, match="broke off"):
        await response.acknowledged()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nothing_is_sent_before_the_first_byte_so_that_an_error_still_can_be(
    method: str,
) -> None:
    response, _, transport = await begun(method)
    assert not response.bytes_sent
    response.discard()
    await asyncio.sleep(0)
    assert transport.writes == []
    assert transport.aborted


async def test_a_failure_ends_the_body_with_trailers() -> None:
    response, _, transport = await begun()
    await response.send(body(b"1"))
    await response.send(body(b"2"))
    response.fail(ErrorReport("ValueError", "m"))
    payload, trailers = decode(transport.written)
    assert payload == PRELUDE + b"12"
    assert trailers[b"lambda-runtime-function-error-type"] == b"ValueError"


async def test_an_app_that_only_starts_gets_a_whole_response() -> None:
    response, _, transport = await begun()
    response.end()
    assert decode(transport.written) == (PRELUDE + FILLER, {})


async def test_an_answer_without_a_body_ends_with_its_tick_and_the_app_runs_on() -> None:
    response, _, transport = await begun("HEAD")
    assert transport.writes == []
    await asyncio.sleep(0)
    assert decode(transport.written) == (PRELUDE + FILLER, {})
    assert response.complete
    await response.wait_until_complete()
    written = len(transport.writes)
    await response.send(body(b"dropped"))
    await response.send(body(b"dropped", more=False))
    response.end()
    response.fail(ErrorReport("ValueError", "too late"))
    await asyncio.sleep(0)
    assert len(transport.writes) == written


async def test_a_failure_behind_the_prelude_is_not_the_end_of_the_payload() -> None:
    response, _, transport = await begun()
    await asyncio.sleep(0)
    response.fail(ErrorReport("ValueError", "m"))
    payload, trailers = decode(transport.written)
    assert payload == PRELUDE + FILLER
    assert trailers[b"lambda-runtime-function-error-type"] == b"ValueError"


async def test_an_early_answer_ends_the_writing_and_is_the_result() -> None:
    response, connection, transport = await begun()
    await response.send(body(b"1"))
    connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    written = len(transport.writes)
    await response.send(body(b"2", more=False))
    assert len(transport.writes) == written
    with pytest.raises(RuntimeApiError, match="413"):
        await response.acknowledged()


async def test_without_a_connection_the_app_runs_on() -> None:
    async def refuse() -> Connection:
        raise RuntimeApiError("nobody there")

    response = StreamedResponse("GET", HEAD, refuse)
    await response.send(START)
    await response.send(body(b"1"))
    await response.send(body(b"2", more=False))
    assert response.complete
    with pytest.raises(RuntimeApiError, match="could not be reached"):
        await response.acknowledged()


async def _stream(parts: list[tuple[bytes, bool]], *, ended_by_app: bool) -> bytes:
    response, _, transport = await begun()
    for data, tick_ends in parts:
        await response.send(body(data))
        if tick_ends:
            await asyncio.sleep(0)
    if ended_by_app:
        await response.send(body(b"", more=False))
    response.end()
    await asyncio.sleep(0)
    assert b"" not in chunks(transport)
    return decode(transport.written)[0]


@settings(deadline=None)
@given(
    parts=st.lists(st.tuples(st.binary(max_size=40_000), st.booleans()), max_size=8),
    ended_by_app=st.booleans(),
)
def test_any_split_of_a_body_gives_the_same_bytes(
    parts: list[tuple[bytes, bool]], *, ended_by_app: bool
) -> None:
    payload = asyncio.run(_stream(parts, ended_by_app=ended_by_app))
    assert payload == PRELUDE + (b"".join(data for data, _ in parts) or FILLER)


def test_the_head_of_a_response_declares_its_trailers() -> None:
    declared = dict(RuntimeApi("127.0.0.1:1").response_head(INVOCATION).headers)[b"trailer"]
    sent = {name for name, _ in ErrorReport("E", "m").trailers()}
    assert set(declared.decode().split(", ")) == sent


class Openings:
    """Opens connections, each with a transport of its own; fails while `is_down`."""

    def __init__(self) -> None:
        self.opened: list[tuple[Connection, RecordingTransport]] = []
        self.is_down = False

    async def connect(self) -> Connection:
        if self.is_down:
            raise RuntimeApiError("down")
        self.opened.append(connected())
        return self.opened[-1][0]


async def ahead(openings: Openings) -> StreamedResponse:
    """Return a response whose connection was opened, or failed to, before the app's start."""
    response = StreamedResponse("GET", HEAD, openings.connect)
    response.connect_ahead()
    await asyncio.sleep(0)
    return response


async def test_a_connection_opened_ahead_is_the_responses() -> None:
    openings = Openings()
    response = await ahead(openings)
    await response.send(START)
    await response.send(body(b"first"))
    [(_, transport)] = openings.opened
    assert chunks(transport) == [PRELUDE + b"first"]


async def test_a_connection_still_under_way_is_waited_for() -> None:
    openings = Openings()
    response = StreamedResponse("GET", HEAD, openings.connect)
    response.connect_ahead()
    await response.send(START)
    await response.send(body(b"first"))
    [(_, transport)] = openings.opened
    assert chunks(transport) == [PRELUDE + b"first"]


@pytest.mark.parametrize("what", ["lost", "old"])
async def test_a_connection_that_the_server_may_close_is_not_written_to(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    openings = Openings()
    response = await ahead(openings)
    if what == "lost":
        openings.opened[0][0].connection_lost(None)
    else:
        monkeypatch.setattr("lambda_asgi.streamed_response._FRESH_S", 0)
    await response.send(START)
    await response.send(body(b"first"))
    (_, left), (_, transport) = openings.opened
    assert (left.writes, left.aborted) == ([], True)
    assert chunks(transport) == [PRELUDE + b"first"]


async def test_a_connection_that_failed_ahead_has_failed() -> None:
    openings = Openings()
    openings.is_down = True
    response = await ahead(openings)
    await response.send(START)
    response.end()
    with pytest.raises(RuntimeApiError):
        await response.acknowledged()


async def test_a_response_that_never_begins_leaves_no_connection() -> None:
    openings = Openings()
    (await ahead(openings)).discard()
    [(_, transport)] = openings.opened
    assert transport.aborted
    under_way = StreamedResponse("GET", HEAD, openings.connect)
    under_way.connect_ahead()
    under_way.discard()
    await asyncio.sleep(0)
    assert len(openings.opened) == 1
    openings.is_down = True
    (await ahead(openings)).discard()
