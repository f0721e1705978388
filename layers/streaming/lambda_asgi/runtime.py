"""The runtime: startup, pollers, shutdown."""

import asyncio
import logging
import os
import signal
from dataclasses import dataclass

from lambda_asgi.asgi import ASGIApp
from lambda_asgi.context import request_id, trace_id
from lambda_asgi.invocation import run_invocation
from lambda_asgi.lifespan import Lifespan
from lambda_asgi.runtime_api import Invocation, RuntimeApi

SHUTDOWN_GRACE_S = 0.3
"""The time that Lambda allows a runtime if the function has an external extension."""

_logger = logging.getLogger(__name__)


@dataclass
class Runtime:
    """
    Serves one app until SIGTERM or SIGINT, or until the Runtime API is gone.

    Attributes:
        app: The ASGI app.
        address: `host:port` of the Runtime API.
        concurrency: How many invocations run at once on the event loop, each with its poller.
        grace_s: How long running invocations and the app's shutdown may take after a signal. Lambda
            sends SIGTERM only where an extension is registered, and kills the process 300 ms later,
            500 ms with an internal one.
    """

    app: ASGIApp
    address: str
    concurrency: int = 1
    grace_s: float = SHUTDOWN_GRACE_S

    def __post_init__(self) -> None:
        self._lifespan: Lifespan | None = None
        self._stopping = False
        self._polling: set[asyncio.Task[None]] = set()

    async def startup(self) -> None:
        """
        Run the app's lifespan startup.

        Raises:
            LifespanStartupError: The app reported that it cannot start.
        """
        self._lifespan = Lifespan(self.app)
        await self._lifespan.startup()

    async def serve(self) -> None:
        """
        Answer invocations until a signal arrives; then let the running ones end, and shut down.

        Raises:
            RuntimeApiError: The Runtime API gave no further event; the process must end.
        """
        pollers = [asyncio.create_task(self._poll()) for _ in range(self.concurrency)]
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*pollers, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        await self._stop(pollers)

    async def _stop(self, pollers: list[asyncio.Task[None]]) -> None:
        self._stopping = True
        for idle in self._polling:
            idle.cancel()
        # Most of the time goes to the app's shutdown, which can end its responses properly, as a
        # cancellation could not. A sixth is left for the process to end.
        await asyncio.wait(pollers, timeout=self.grace_s / 6)
        await self._shut_down_app()
        _, late = await asyncio.wait(pollers, timeout=self.grace_s / 6)
        for task in late:
            task.cancel("The process is shutting down.")
        results = await asyncio.gather(*pollers, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _shut_down_app(self) -> None:
        if self._lifespan is None:
            return
        limit_s = self.grace_s / 2
        try:
            await asyncio.wait_for(self._lifespan.shutdown(), limit_s)
        except TimeoutError:
            _logger.error("The app's shutdown took longer than %s s.", limit_s)

    async def _poll(self) -> None:
        api = RuntimeApi(self.address)
        task = asyncio.current_task()
        try:
            while not self._stopping and task is not None:
                self._polling.add(task)
                try:
                    invocation = await api.next_invocation()
                finally:
                    self._polling.discard(task)
                # In a task of its own, so that context variables that the app sets end with it.
                await asyncio.create_task(self._run(invocation, api))
        finally:
            api.close()

    async def _run(self, invocation: Invocation, api: RuntimeApi) -> None:
        context = invocation.context
        request_id.set(context.aws_request_id)
        trace_id.set(context.trace_id)
        if self.concurrency == 1:
            _export_trace_id(context.trace_id)
        state = self._lifespan.state if self._lifespan is not None else {}
        await run_invocation(self.app, invocation, api, state)


def _export_trace_id(value: str | None) -> None:
    """Set the variable that the X-Ray SDK and botocore read, as the managed runtime does."""
    if value is None:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    else:
        os.environ["_X_AMZN_TRACE_ID"] = value
