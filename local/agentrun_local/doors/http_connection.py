"""The server's end of one HTTP/1.1 connection; h11, because trailers must be seen."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import h11

# awslambdaric sends an X-Ray error cause of up to 1 MB in a header.
_MAX_HEAD_BYTES = 2 * 1024 * 1024
_READ_BYTES = 64 * 1024


class ConnectionBrokenError(Exception):
    """The peer went away, or spoke something that is not HTTP."""


class HttpConnection:
    """One request at a time: `request`, then `chunks` to the end, then `respond`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trailers: Mapping[str, str] = {}
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)

    async def request(self) -> h11.Request | None:
        """Wait for the next request; None when the peer has closed the connection."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None
        event = await self._next_event()
        return event if isinstance(event, h11.Request) else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """
        Yield the request's body as it arrives; afterwards `trailers` holds what followed it.

        Raises:
            ConnectionBrokenError: The body is not complete.
        """
        if self._http.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = {k.decode(): v.decode("latin-1") for k, v in event.headers}
                return
            else:
                raise ConnectionBrokenError

    async def respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response, in one write."""
        fields = [*headers.items(), ("Content-Length", str(len(body)))]
        self._send(
            h11.Response(status_code=status, headers=fields),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ConnectionBrokenError from error

    async def wait_for_peer(self) -> None:
        """Return when the peer closes the connection, or sends what it may not send yet."""
        # Nothing may come while a request is being answered, but what does must not be lost.
        received = await self._read()
        self._http.receive_data(received)

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()

    async def _next_event(self) -> object:
        try:
            event = self._http.next_event()
            while event is h11.NEED_DATA:
                self._http.receive_data(await self._read())
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise ConnectionBrokenError from error
        return event

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_READ_BYTES)
        except ConnectionError:
            return b""

    def _send(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
