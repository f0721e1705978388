"""One streamed response, and when its bytes are sent."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import h11

from lambda_asgi.asgi import Message
from lambda_asgi.connection import Connection
from lambda_asgi.errors import ErrorReport, RuntimeApiError
from lambda_asgi.response import ResponseEncoder

# Past this a burst is written and other tasks run: an app that never waits must not stall the other
# streams of the process.
_MAX_BURST_BYTES = 16 * 1024

_FRESH_S = 1.0
"""
How old a connection that was opened ahead may be.

A server may close one that has asked for nothing for long, perhaps just as the response is sent.
"""

_logger = logging.getLogger(__name__)


class StreamedResponse:
    """
    Sends an app's messages as chunks over a connection of their own.

    The first body message in a tick of the event loop is sent at once, together with the prelude if
    that is still pending; those that follow in the same tick are sent in one chunk when it ends. A
    prelude without a body message is sent when its tick ends.

    After the connection breaks, what the app sends is discarded and the app runs on, as on Lambda
    when the client goes away.
    """

    def __init__(
        self, method: str, head: h11.Request, connect: Callable[[], Awaitable[Connection]]
    ) -> None:
        """Take the request's method, the response's head, and how to open its connection."""
        self.bytes_sent = False
        self._head = head
        self._encoder = ResponseEncoder(method)
        self._connect = connect
        self._connection: Connection | None = None
        self._ahead: asyncio.Future[Connection] | None = None
        self._ahead_since_s = 0.0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._in_tick = False
        self._ended = False
        self._finished = asyncio.Event()

    def connect_ahead(self) -> None:
        """Begin to connect while the app works: that needs turns of the loop, which others take."""
        self._ahead = asyncio.ensure_future(self._connect())
        self._ahead_since_s = asyncio.get_running_loop().time()

    @property
    def started(self) -> bool:
        """Whether the app has sent `http.response.start`."""
        return self._encoder.started

    @property
    def complete(self) -> bool:
        """Whether the app has sent its last byte, or the response has ended without it."""
        return self._ended or self._encoder.complete

    async def send(self, message: Message) -> None:
        """Send one ASGI message; wait while the socket's buffer is full."""
        was_started = self._encoder.started
        self._add(self._encoder.encode(message))
        if not was_started:
            await self._open()
        elif self._encoder.complete:
            self._end([])
        elif not self._in_tick:
            self._flush()
            self._end_tick_later()
        elif self._pending_bytes >= _MAX_BURST_BYTES:
            self._flush()
            await asyncio.sleep(0)
        if self._connection is not None and self._connection.congested:
            await self._connection.drain()

    async def wait_until_complete(self) -> None:
        """Return once the app has sent its last byte."""
        await self._finished.wait()

    def end(self) -> None:
        """
        End the body if the app has not done so itself.

        Raises:
            UnexpectedMessageError: The body is shorter than its `content-length`.
        """
        if not self.complete:
            self._add(self._encoder.finish())
        self._end([])

    def fail(self, report: ErrorReport) -> None:
        """Send what is pending, and end the body with error trailers."""
        self._encoder.complete = True
        self._add(self._encoder.filler())
        self._end(report.trailers())

    def discard(self) -> None:
        """Drop the connection and the response, of which no byte was sent."""
        self._pending.clear()
        ahead = self._ahead
        # Asked for its exception, or asyncio would log that nobody did.
        if ahead is not None and not ahead.cancel() and ahead.exception() is None:
            ahead.result().close()
        if self._connection is not None:
            self._connection.close()

    async def acknowledged(self) -> None:
        """
        Wait until the Runtime API has accepted the whole response.

        Raises:
            RuntimeApiError: It refused the response, or the connection broke; the response cannot
                be sent again.
        """
        if self._connection is None:
            raise RuntimeApiError("The Runtime API could not be reached for the response.")
        try:
            answer = await self._connection.answer()
        finally:
            self._connection.close()
        if not 200 <= answer.status < 300:
            raise RuntimeApiError(f"The Runtime API answered {answer.status} to the response.")

    async def _open(self) -> None:
        try:
            self._connection = await self._fresh_from_ahead() or await self._connect()
        except RuntimeApiError:
            _logger.exception("The response cannot be sent.")
            return
        asyncio.get_running_loop().call_soon(self._end_tick)

    async def _fresh_from_ahead(self) -> Connection | None:
        """
        Return the connection that was opened ahead; None if the server may close it soon.

        Raises:
            RuntimeApiError: It could not be opened.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        connection = await ahead
        age_s = asyncio.get_running_loop().time() - self._ahead_since_s
        if age_s < _FRESH_S and not connection.lost:
            return connection
        connection.close()
        return None

    def _end_tick_later(self) -> None:
        self._in_tick = True
        asyncio.get_running_loop().call_soon(self._end_tick)

    def _end_tick(self) -> None:
        self._in_tick = False
        if self._encoder.bodiless and not self._ended:
            self._add(self._encoder.filler())
            self._end([])
        elif self._pending:
            self._flush()

    def _add(self, payload: bytes) -> None:
        if payload:
            self._pending.append(payload)
            self._pending_bytes += len(payload)

    def _take_pending(self) -> bytes:
        payload = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        return payload

    def _flush(self) -> None:
        payload = self._take_pending()
        if payload and (connection := self._writable_connection()) is not None:
            connection.write_chunk(payload)

    def _end(self, trailers: list[tuple[str, str]]) -> None:
        if self._ended:
            return
        self._ended = True
        self._finished.set()
        payload = self._take_pending()
        connection = self._writable_connection()
        if connection is not None:
            connection.end_chunks(payload, trailers)

    def _writable_connection(self) -> Connection | None:
        if self._connection is None or self._connection.over:
            return None
        if not self.bytes_sent:
            # Not earlier: once a response has begun, the Runtime API accepts no error for it.
            self.bytes_sent = True
            self._connection.begin(self._head)
        return self._connection
