"""An engine that its first run loads, after that run's START has been sent."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.ports import AgentEngine, AgentTask, ArgumentChecker
from agentrun.domain.turns import EngineOutput


class LoadedEngine(AgentEngine, ArgumentChecker, Protocol):
    """The engine itself: it runs agents, and knows what their tools take."""


class DeferredEngine:
    """
    The ports `AgentEngine` and `ArgumentChecker`, loaded when first needed.

    Importing an agent framework takes longer than the rest of a cold start. Clients learn that
    their run exists without waiting for it.
    """

    def __init__(self, load: Callable[[], LoadedEngine]) -> None:
        self._load = load
        self._loading: asyncio.Future[LoadedEngine] | None = None
        self._engine: LoadedEngine | None = None

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        """Load the engine if needed, then run one turn; see the port."""
        # Once loaded it is used directly: a generator around it would cost time at each event.
        if self._engine is None:
            return self._load_and_run(task, before_tool)
        return self._engine.run(task, before_tool=before_tool)

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        """Ask the engine, which has to be `ready`; see the port."""
        if self._engine is None:
            raise RuntimeError("the engine is not loaded yet")
        return self._engine.argument_faults(agent_id, tool, arguments)

    def prepare(self) -> None:
        """Begin to load the engine in a thread, unless it is loading already."""
        self._begin_loading()

    async def ready(self) -> None:
        """
        Wait until the engine is loaded.

        Raises:
            Exception: Loading has failed.
        """
        self._engine = await asyncio.shield(self._begin_loading())

    def _begin_loading(self) -> asyncio.Future[LoadedEngine]:
        if self._loading is None or _has_failed(self._loading):
            # After a failure the next run tries again.
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load_at_once))
        return self._loading

    async def _load_and_run(
        self, task: AgentTask, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        # Shielded: a run that is cancelled must not stop the loading for others.
        engine = self._engine = await asyncio.shield(self._begin_loading())
        async with aclosing(engine.run(task, before_tool=before_tool)) as events:
            async for event in events:
                yield event

    def _load_at_once(self) -> LoadedEngine:
        """Load without garbage collection, a fifth faster: all of the modules stay."""
        gc.disable()
        try:
            return self._load()
        finally:
            gc.freeze()
            gc.enable()


def _has_failed(loading: "asyncio.Future[LoadedEngine]") -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)
