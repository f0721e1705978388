"""The client."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import httpx

from agentrun_client.aio.resources import AsyncAgents, AsyncApprovals, AsyncSessions
from agentrun_client.aio.runs import AsyncRuns
from agentrun_client.aio.transport import AsyncTransport
from agentrun_client.wire import other_calls
from agentrun_client.wire.clock import AsyncClock, AsyncSystemClock
from agentrun_client.wire.settings import refusals_of, settings_of

MAX_RETRIES = 3
MAX_REATTACHES = 10


class AsyncClient:
    """
    A client of an Agentrun deployment whose calls are awaited, under asyncio.

    Tasks of one event loop may share a client; each of its streams belongs to one task at a time.
    Close it, or use it in an `async with` block, to close its connections.
    """

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str | Awaitable[str]] | None = None,
        *,
        stream_url: str | None = None,
        http_client: httpx.AsyncClient | None = None,
        max_retries: int = MAX_RETRIES,
        max_reattaches: int = MAX_REATTACHES,
        clock: AsyncClock | None = None,
    ) -> None:
        """
        Connect to nothing yet.

        Args:
            base_url: The REST API's, with its stage or base path if it has one.
            token: A bearer token, or a callable that returns one, at once or awaited. It is called
                for every request, and once more after a 401, so it should keep the token until that
                expires. If it has a method `refused(token)`, that is called before, not awaited,
                with what was answered 401.
            stream_url: The Function URL, to run agents without a gateway in between; the rest goes
                to `base_url`.
            http_client: Your own `httpx.AsyncClient`, for proxies, certificates or limits; it is
                not closed with this client.
            max_retries: How often a request is repeated that found no answer, or a busy API.
            max_reattaches: How often in a row a stream re-attaches without a new event.
            clock: Waits, and tells the time; for tests.

        Raises:
            ValueError: A URL is none.
        """
        self._http = http_client or httpx.AsyncClient(limits=httpx.Limits(max_connections=None))
        self._owns_http = http_client is None
        settings = settings_of(
            base_url,
            stream_url,
            max_retries=max_retries,
            max_reattaches=max_reattaches,
            can_renew_token=callable(token),
        )
        self._transport = AsyncTransport(
            self._http,
            settings,
            _supplier_of(token),
            clock or AsyncSystemClock(),
            refused=refusals_of(token),
        )
        self.runs = AsyncRuns(self._transport)
        self.agents = AsyncAgents(self._transport)
        self.sessions = AsyncSessions(self._transport)
        self.approvals = AsyncApprovals(self._transport)

    async def health(self) -> str:
        """Ask whether the deployment answers, without a token; `UP` if it does."""
        return await self._transport.send(other_calls.health())

    async def aclose(self) -> None:
        """Close all connections, but not those of an `http_client` that was passed in."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Close the client at the end of the block."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.aclose()

    def __repr__(self) -> str:
        """Name the deployment, and nothing secret."""
        return f"{type(self).__name__}({self._transport.settings.base_url!r})"


def _supplier_of(
    token: str | Callable[[], str | Awaitable[str]] | None,
) -> Callable[[], Awaitable[str | None]]:
    async def supply() -> str | None:
        found = token() if callable(token) else token
        return await found if isinstance(found, Awaitable) else found

    return supply
