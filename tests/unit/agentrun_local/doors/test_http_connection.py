import asyncio

from agentrun_local.doors.http_connection import HttpConnection


class _Writer(asyncio.StreamWriter):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def __del__(self) -> None:
        """Close nothing: there is no transport."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    async def drain(self) -> None:
        pass


async def _answer(body: bytes) -> list[bytes]:
    reader, writer = asyncio.StreamReader(), _Writer()
    connection = HttpConnection(reader, writer)
    reader.feed_data(b"GET /next HTTP/1.1\r\nHost: api\r\n\r\n")
    assert await connection.request() is not None
    assert [chunk async for chunk in connection.chunks()] == []
    await connection.respond(200, {"X-Name": "value"}, body)
    return writer.written


def test_the_head_and_the_body_of_an_answer_leave_in_one_write() -> None:
    (answer,) = asyncio.run(_answer(b"body"))

    assert answer == b"HTTP/1.1 200 \r\nX-Name: value\r\nContent-Length: 4\r\n\r\nbody"


def test_an_answer_without_a_body_is_one_write_too() -> None:
    (answer,) = asyncio.run(_answer(b""))

    assert answer == b"HTTP/1.1 200 \r\nX-Name: value\r\nContent-Length: 0\r\n\r\n"
