"""Sends requests and waits for their answers."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import httpx

from agentrun_client.wire.answer import Answer, error_of, read_answer
from agentrun_client.wire.call import Call
from agentrun_client.wire.clock import Clock
from agentrun_client.wire.page import Page
from agentrun_client.wire.settings import Settings, connection_failed, was_sent

T = TypeVar("T")


class Transport:
    """Sends requests with a fresh token each, and again where that does no harm."""

    def __init__(
        self,
        http: httpx.Client,
        settings: Settings,
        token: Callable[[], str | None],
        clock: Clock,
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

    @contextmanager
    def open(self, call: Call[object]) -> Generator[httpx.Response, None, None]:
        """Send a request once and yield its answer, whose body has not been read."""
        token = self._token() if call.needs_token else None
        request = self._http.build_request(**self.settings.request(call, token))
        # A redirection would take the token to another host.
        response = self._http.send(request, stream=True, follow_redirects=False)
        if response.status_code == HTTPStatus.UNAUTHORIZED and token is not None:
            self._refused(token)
        try:
            yield response
        finally:
            response.close()

    def send(self, call: Call[T]) -> T:
        """
        Send a request until there is an answer, and read it.

        Raises:
            AgentrunError: The API has refused it, or there was no answer.
        """
        tries = self.settings.tries()
        while True:
            try:
                with self.open(call) as response:
                    answer = Answer(response.status_code, response.headers, response.read())
            except httpx.RequestError as broken:
                error = connection_failed(broken)
                delay_s = tries.delay_after(error, call, was_sent=was_sent(broken))
            else:
                if not answer.is_error:
                    return read_answer(call, answer)
                delay_s = tries.delay_after(error_of(answer), call, was_sent=True)
            self.clock.sleep(delay_s)

    def pages(self, page_at: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        """Yield the items of all pages; each is asked for when the last one has been used up."""
        cursor = None
        while True:
            page = self.send(page_at(cursor))
            yield from page.items
            if page.next_cursor is None:
                return
            cursor = page.next_cursor
