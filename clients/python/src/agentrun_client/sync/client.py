"""The client."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from agentrun_client.sync.resources import Agents, Approvals, Sessions
from agentrun_client.sync.runs import Runs
from agentrun_client.sync.transport import Transport
from agentrun_client.wire import other_calls
from agentrun_client.wire.clock import Clock, SystemClock
from agentrun_client.wire.settings import refusals_of, settings_of

MAX_RETRIES = 3
MAX_REATTACHES = 10


class Client:
    """
    A client of an Agentrun deployment whose calls block.

    Threads may share a client; each of its streams belongs to one thread at a time. Close it, or
    use it in a `with` block, to close its connections.
    """

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str] | None = None,
        *,
        stream_url: str | None = None,
        http_client: httpx.Client | None = None,
        max_retries: int = MAX_RETRIES,
        max_reattaches: int = MAX_REATTACHES,
        clock: Clock | None = None,
    ) -> None:
        """
        Connect to nothing yet.

        Args:
            base_url: The REST API's, with its stage or base path if it has one.
            token: A bearer token, or a callable that returns one. It is called for every request,
                and once more after a 401, so it should keep the token until that expires. If it
                has a method `refused(token)`, that is called before with what was answered 401.
            stream_url: The Function URL, to run agents without a gateway in between; the rest goes
                to `base_url`.
            http_client: Your own `httpx.Client`, for proxies, certificates or limits; it is not
                closed with this client.
            max_retries: How often a request is repeated that found no answer, or a busy API.
            max_reattaches: How often in a row a stream re-attaches without a new event.
            clock: Waits, and tells the time; for tests.

        Raises:
            ValueError: A URL is none.
        """
        self._http = http_client or httpx.Client(limits=httpx.Limits(max_connections=None))
        self._owns_http = http_client is None
        settings = settings_of(
            base_url,
            stream_url,
            max_retries=max_retries,
            max_reattaches=max_reattaches,
            can_renew_token=callable(token),
        )
        supplier = token if callable(token) else lambda: token
        self._transport = Transport(
            self._http, settings, supplier, clock or SystemClock(), refused=refusals_of(token)
        )
        self.runs = Runs(self._transport)
        self.agents = Agents(self._transport)
        self.sessions = Sessions(self._transport)
        self.approvals = Approvals(self._transport)

    def health(self) -> str:
        """Ask whether the deployment answers, without a token; `UP` if it does."""
        return self._transport.send(other_calls.health())

    def close(self) -> None:
        """Close all connections, but not those of an `http_client` that was passed in."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        """Close the client at the end of the block."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Name the deployment, and nothing secret."""
        return f"{type(self).__name__}({self._transport.settings.base_url!r})"
