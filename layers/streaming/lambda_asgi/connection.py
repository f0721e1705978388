"""One HTTP/1.1 client connection: h11 for the protocol, asyncio for the bytes."""

import asyncio
from dataclasses import dataclass, field

import h11

from lambda_asgi.errors import RuntimeApiError


@dataclass
class Answer:
    """A server's answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Connection(asyncio.Protocol):
    """
    A connection to the Runtime API; one exchange at a time, kept alive between them.

    asyncio sets TCP_NODELAY on every TCP transport, so each write leaves at once.
    """

    def __init__(self) -> None:
        self.lost = False
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.WriteTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._partial: Answer | None = None
        self._answered: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """
        Connect.

        Raises:
            RuntimeApiError: Nobody listens there; retrying is safe.
        """
        try:
            _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        except OSError as exc:
            raise RuntimeApiError(f"No connection to the Runtime API at {host}:{port}.") from exc
        return connection

    async def exchange(self, request: h11.Request, body: bytes = b"") -> Answer:
        """
        Send a whole request and wait for its answer, however long that takes.

        Raises:
            RuntimeApiError: The connection broke before the answer was complete.
        """
        self.begin(request)
        data = self._http.send(h11.Data(data=body)) if body else b""
        end = self._http.send(h11.EndOfMessage())
        self._write((data or b"") + (end or b""))
        return await self.answer()

    def begin(self, request: h11.Request) -> None:
        """Send the head of a request; the body follows."""
        self._answered = asyncio.get_running_loop().create_future()
        if self.lost:
            self._fail("The connection to the Runtime API is closed.")
        self._write(self._http.send(request) or b"")

    def write_chunk(self, payload: bytes) -> None:
        """
        Send one chunk of a chunked body; it must not be empty, which would end the body.

        It is framed by hand: h11 takes ten times as long, for every event of a stream.
        """
        self._write(b"%x\r\n%b\r\n" % (len(payload), payload))

    def end_chunks(self, last: bytes, trailers: list[tuple[str, str]]) -> None:
        """Send the rest of a chunked body and its end in one write."""
        chunk = b"%x\r\n%b\r\n" % (len(last), last) if last else b""
        self._write(chunk + (self._http.send(h11.EndOfMessage(headers=trailers)) or b""))

    async def answer(self) -> Answer:
        """
        Wait for the answer to the request that was sent.

        Raises:
            RuntimeApiError: The connection broke before the answer was complete.
        """
        if self._answered is None:
            raise RuntimeApiError("No request was sent.")
        answer = await self._answered
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._answered = None
        else:
            self.close()
        return answer

    @property
    def over(self) -> bool:
        """Whether writing is pointless: the peer is gone or has already answered."""
        return self.lost or (self._answered is not None and self._answered.done())

    @property
    def congested(self) -> bool:
        """Whether the socket's buffer is full; if so, `drain` before the next write."""
        return not self._writable.is_set()

    async def drain(self) -> None:
        """Wait until the socket accepts data again, or is lost."""
        await self._writable.wait()

    def close(self) -> None:
        """Drop the connection, even with unsent data."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    def _fail(self, reason: str) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(RuntimeApiError(reason))
            # Retrieve it, since nobody may be waiting: a writer checks `over` instead.
            self._answered.exception()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio's callback)."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read the answer (asyncio's callback)."""
        try:
            self._http.receive_data(data)
            self._read_events()
        except h11.RemoteProtocolError as exc:
            self._fail(f"The Runtime API's answer is not HTTP: {exc}")
            self.close()

    def _read_events(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                headers = {k.decode("ascii"): v.decode("latin-1") for k, v in event.headers}
                self._partial = Answer(event.status_code, headers)
            elif isinstance(event, h11.Data) and self._partial is not None:
                self._partial.body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._partial is not None:
                if self._answered is not None and not self._answered.done():
                    self._answered.set_result(self._partial)
                self._partial = None
            elif not isinstance(event, h11.InformationalResponse):
                return

    def eof_received(self) -> None:
        """Take the end of the stream as the end of an unframed answer (asyncio's callback)."""
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake all waiting tasks (asyncio's callback)."""
        self.lost = True
        self._writable.set()
        self._fail(f"The Runtime API broke off the connection: {exc or 'end of file'}.")

    def pause_writing(self) -> None:
        """Note that the socket's buffer is full (asyncio's callback)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that there is room again (asyncio's callback)."""
        self._writable.set()
