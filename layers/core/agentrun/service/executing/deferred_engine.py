"""An engine that is loaded by its first run while START goes out, or before a snapshot."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.ports import AgentEngine, AgentTask, ArgumentChecker
from agentrun.domain.turns import EngineOutput


class LoadedEngine(AgentEngine, ArgumentChecker, Protocol):
    """What is loaded: it runs agents, and knows what their tools take."""


class DeferredEngine:
    """
    The ports `AgentEngine` and `ArgumentChecker`, loaded when first needed.

    Importing an agent framework takes longer than everything else in a cold start; a client need
    not wait for it to learn that its run exists.
    """

    def __init__(self, load: Callable[[], LoadedEngine]) -> None:
        self._load = load
        self._loading: asyncio.Future[LoadedEngine] | None = None
        self._engine: LoadedEngine | None = None

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        """Load the engine if nobody has, then run one turn; see the port."""
        # Once it is there it is used directly: a generator around it would cost every event.
        if self._engine is None:
            return self._load_and_run(task, before_tool)
        return self._engine.run(task, before_tool=before_tool)

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        """Ask the engine, which has to be `ready`; see the port `ArgumentChecker`."""
        if self._engine is None:
            raise RuntimeError("the engine is not loaded yet")
        return self._engine.argument_faults(agent_id, tool, arguments)

    def load(self) -> None:
        """
        Load the engine now, in this thread; for a process whose init nobody waits for.

        Raises:
            Exception: Whatever loading it has raised; the first run would try again.
        """
        if self._engine is None:
            self._engine = self._load_at_once()

    def prepare(self) -> None:
        """Begin to load the engine in a thread, unless that has begun."""
        if self._engine is None:
            self._begin_loading()

    async def ready(self) -> None:
        """
        Wait until the engine is loaded.

        Raises:
            Exception: Whatever loading it has raised.
        """
        if self._engine is None:
            self._engine = await asyncio.shield(self._begin_loading())

    def _begin_loading(self) -> asyncio.Future[LoadedEngine]:
        if self._loading is None or _has_failed(self._loading):
            # What could not be loaded once is tried again by the next run.
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load_at_once))
        return self._loading

    async def _load_and_run(
        self, task: AgentTask, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        # Shielded: one run that is cancelled must not take the engine from the others.
        engine = self._engine = await asyncio.shield(self._begin_loading())
        async with aclosing(engine.run(task, before_tool=before_tool)) as events:
            async for event in events:
                yield event

    def _load_at_once(self) -> LoadedEngine:
        """Load without looking for garbage in modules that all stay; it takes a fifth less."""
        gc.disable()
        try:
            return self._load()
        finally:
            gc.freeze()
            gc.enable()


def _has_failed(loading: "asyncio.Future[LoadedEngine]") -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)
