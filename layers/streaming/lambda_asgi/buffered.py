"""Buffered answers through Mangum: one event, one whole response."""

import asyncio
import os
import threading
from typing import Any, cast

from mangum.protocols import HTTPCycle
from mangum.types import ASGI

from lambda_asgi.asgi import ASGIApp
from lambda_asgi.context import request_id, trace_id
from lambda_asgi.events import NOT_HTTP, HttpEvent, read_http_event
from lambda_asgi.lifespan import Lifespan


class BufferedApp:
    """
    Runs an ASGI app on a loop of its own, one event at a time.

    Mangum's own entry point ends the app's lifespan after each event, and with it the clients and
    pools that the next event needs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._runner = asyncio.Runner()
        self._lifespan: Lifespan | None = None
        self._lock = threading.Lock()

    def answer(self, event: Any, context: Any) -> Any:
        """Answer one event; see `StreamingHandler.__call__`."""
        request = read_http_event(event, context)
        if request is None:
            return NOT_HTTP
        with self._lock:
            if self._lifespan is None:
                self._lifespan = self._runner.run(_started(self._app))
            request.scope["state"] = self._lifespan.state.copy()
            return self._runner.run(self._cycle(request, context))

    def close(self) -> None:
        """Shut the app down and free the loop."""
        if self._lifespan is not None:
            self._runner.run(self._lifespan.shutdown())
        self._runner.close()

    async def _cycle(self, request: HttpEvent, context: Any) -> dict[str, Any]:
        request_id.set(getattr(context, "aws_request_id", None))
        trace_id.set(os.environ.get("_X_AMZN_TRACE_ID"))
        cycle = HTTPCycle(request.scope, request.body)
        await cycle.run(cast("ASGI", self._app))
        return request.adapter(
            {"status": cycle.status, "headers": cycle.headers, "body": cycle.body}
        )


async def _started(app: ASGIApp) -> Lifespan:
    lifespan = Lifespan(app)
    await lifespan.startup()
    return lifespan
