"""Invocations that last as long as what their requests have begun."""

from starlette.types import ASGIApp, Receive, Scope, Send

from agentrun.service.invocation import invocation_kept


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
