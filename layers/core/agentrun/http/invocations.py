"""Lambda's invocations: their deadline, their door, and how long they and their process last."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrun.domain.ports import Clock
from agentrun.service.ports import invocation_kept


class KeptInvocations:
    """
    Returns from a request only once every execution that it has begun has ended.

    The answer is complete with its last byte; the runtime lets Lambda freeze the process when the
    app returns. It returns late however the request ends: with an exception after the run has gone
    on, with an answer that cannot be sent, or without its client. A request that has begun nothing
    is not held.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Take the app whose routes begin executions."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with invocation_kept():
            await self._app(scope, receive, send)


def deadline_of(request: Request, clock: Clock) -> datetime | None:
    """Return the instant at which Lambda will stop the invocation; None outside Lambda."""
    context = request.scope.get("aws.context")
    if context is None:
        return None
    return clock.now() + timedelta(milliseconds=context.get_remaining_time_in_millis())


def came_by_function_url(request: Request) -> bool:
    """Tell whether a request came by the Function URL, whose payloads have the version 2.0."""
    return bool(request.scope.get("aws.event", {}).get("version") == "2.0")


Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def ending_with(end: Callable[[], Awaitable[None]]) -> Lifespan:
    """Return an app's lifespan that needs no start and calls `end` at its shutdown."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None, None]:
        yield
        await end()

    return lifespan
