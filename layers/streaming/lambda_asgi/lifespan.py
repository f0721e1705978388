"""The ASGI lifespan protocol: startup before the first invocation, shutdown at the end."""

import asyncio
import logging
from typing import Any

from lambda_asgi.asgi import ASGIApp, Message
from lambda_asgi.errors import LifespanStartupError

_LEFT: Message = {"type": "left the protocol"}

_logger = logging.getLogger(__name__)


class Lifespan:
    """
    One app's lifespan on the running loop.

    `state` is the lifespan's state, as the app fills it; requests get a shallow copy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._started = False

    async def startup(self) -> None:
        """
        Run the app's startup; an app need not support the lifespan protocol.

        Raises:
            LifespanStartupError: The app reported that it cannot start.
        """
        self._task = asyncio.create_task(self._run(), name="lifespan")
        answer = await self._ask("lifespan.startup")
        if answer["type"] == "lifespan.startup.failed":
            raise LifespanStartupError(answer.get("message") or "The app failed to start.")
        self._started = answer is not _LEFT

    async def shutdown(self) -> None:
        """Run the app's shutdown; a failure is only logged, since the process ends anyway."""
        if not self._started:
            return
        answer = await self._ask("lifespan.shutdown")
        if answer["type"] == "lifespan.shutdown.failed":
            _logger.error("The app failed to shut down: %s", answer.get("message", ""))

    async def _ask(self, event: str) -> Message:
        self._events.put_nowait({"type": event})
        return await self._answers.get()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._events.get, self._answers.put)
        except Exception as exc:
            if self._started:
                _logger.exception("The app's lifespan has failed.")
            else:
                # ASGI: an app that raises here does not support lifespans, but can serve requests.
                _logger.info("The app has no lifespan: %r", exc)
        finally:
            self._answers.put_nowait(_LEFT)
