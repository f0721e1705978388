"""One exchange after the other over one connection, whatever the peer does."""

import asyncio

import h11
import pytest

from lambda_asgi.connection import Answer, Connection
from lambda_asgi.errors import RuntimeApiError
from tests.unit.lambda_asgi.fake_transport import RecordingTransport, connected

pytestmark = pytest.mark.anyio

NEXT = h11.Request(method="GET", target="/next", headers=[("Host", "h")])


async def asked() -> tuple[Connection, RecordingTransport, asyncio.Task[Answer]]:
    """Return a connection that has sent a request and waits for the answer."""
    connection, transport = connected()
    exchange = asyncio.create_task(connection.exchange(NEXT))
    await asyncio.sleep(0)
    return connection, transport, exchange


async def test_a_connection_carries_one_exchange_after_the_other() -> None:
    connection, transport = connected()
    for body in (b"one", b"two"):
        exchange = asyncio.create_task(connection.exchange(NEXT))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Len")
        connection.data_received(b"gth: 3\r\n\r\n" + body)
        answer = await exchange
        assert (answer.status, answer.headers["x-a"], bytes(answer.body)) == (200, "b", body)
    assert transport.written.count(b"GET /next") == 2
    assert not connection.lost


async def test_an_interim_response_is_passed_over() -> None:
    connection, _, exchange = await asked()
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 OK\r\n")
    connection.data_received(b"Content-Length: 0\r\n\r\n")
    assert (await exchange).status == 202


async def test_an_answer_may_be_framed_by_the_end_of_the_connection() -> None:
    connection, _, exchange = await asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    connection.eof_received()
    assert bytes((await exchange).body) == b"all of it"
    assert connection.lost


async def test_a_peer_that_closes_afterwards_leaves_no_reusable_connection() -> None:
    connection, transport, exchange = await asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    await exchange
    assert connection.lost
    assert transport.aborted


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"HTTP"])
async def test_an_answer_that_breaks_off_is_an_error(data: bytes) -> None:
    connection, _, exchange = await asked()
    connection.data_received(data) if data else None
    connection.eof_received()
    connection.connection_lost(None)
    with pytest.raises(RuntimeApiError):
        await exchange


async def test_what_is_no_http_is_an_error() -> None:
    connection, transport, exchange = await asked()
    connection.data_received(b"SSH-2.0-OpenSSH\r\n\r\n")
    with pytest.raises(RuntimeApiError, match="not HTTP"):
        await exchange
    assert transport.aborted


async def test_a_lost_connection_takes_no_request() -> None:
    connection, _ = connected()
    connection.connection_lost(None)
    with pytest.raises(RuntimeApiError, match="closed"):
        await connection.exchange(NEXT)


async def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(RuntimeApiError, match=r"127\.0\.0\.1:1"):
        await Connection.open("127.0.0.1", 1)
