"""Sends requests and waits for their answers."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import httpx

from agentrun_client.wire.answer import Answer, error_of, read_answer
from agentrun_client.wire.call import Call
from agentrun_client.wire.clock import AsyncClock
from agentrun_client.wire.page import Page
from agentrun_client.wire.settings import Settings, connection_failed, was_sent

T = TypeVar("T")


class AsyncTransport:
    """Sends requests with a fresh token each, and again where that does no harm."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        settings: Settings,
        token: Callable[[], Awaitable[str | None]],
        clock: AsyncClock,
        *,
        refused: Callable[[str], None],
    ) -> None:
        """
        Take what is needed for each request.

        Args:
            http: Sends them.
            settings: The client's.
            token: Called for each of them.
            clock: Waits between tries.
            refused: Told of a token that was answered 401.
        """
        self.settings = settings
        self.clock = clock
        self._http = http
        self._token = token
        self._refused = refused

    @asynccontextmanager
    async def open(self, call: Call[object]) -> AsyncGenerator[httpx.Response, None]:
        """Send a request once and yield its answer, whose body has not been read."""
        token = await self._token() if call.needs_token else None
        request = self._http.build_request(**self.settings.request(call, token))
        # A redirection would take the token to another host.
        response = await self._http.send(request, stream=True, follow_redirects=False)
        if response.status_code == HTTPStatus.UNAUTHORIZED and token is not None:
            self._refused(token)
        try:
            yield response
        finally:
            await response.aclose()

    async def send(self, call: Call[T]) -> T:
        """
        Send a request until there is an answer, and read it.

        Raises:
            AgentrunError: The API has refused it, or there was no answer.
        """
        tries = self.settings.tries()
        while True:
            try:
                async with self.open(call) as response:
                    body = await response.aread()
                    answer = Answer(response.status_code, response.headers, body)
            except httpx.RequestError as broken:
                error = connection_failed(broken)
                delay_s = tries.delay_after(error, call, was_sent=was_sent(broken))
            else:
                if not answer.is_error:
                    return read_answer(call, answer)
                delay_s = tries.delay_after(error_of(answer), call, was_sent=True)
            await self.clock.sleep(delay_s)

    async def pages(self, page_at: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        """Yield the items of all pages; each is asked for when the last one has been used up."""
        cursor = None
        while True:
            page = await self.send(page_at(cursor))
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            cursor = page.next_cursor
