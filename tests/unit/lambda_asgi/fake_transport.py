"""A transport that keeps what is written to it."""

import asyncio

import h11

from lambda_asgi.connection import Connection


class RecordingTransport(asyncio.Transport):
    """Each write is kept apart; the test plays the peer through the connection's callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)


def connected() -> tuple[Connection, RecordingTransport]:
    """Return a connection whose peer is the test."""
    connection, transport = Connection(), RecordingTransport()
    connection.connection_made(transport)
    return connection, transport


def decode(written: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return body and trailers of the request in `written`, which must be whole."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(written)
    body = b""
    while True:
        event = server.next_event()
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return body, dict(event.headers)
        elif not isinstance(event, h11.Request):
            raise AssertionError(f"not a whole request: {event}")
