"""An engine that its first run loads, after that run's START has been sent."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from pydantic import JsonValue

from agentrun.domain.ports import AgentEngine, AgentTask, ArgumentChecker
from agentrun.domain.turns import EngineOutput


class LoadedEngine(AgentEngine, ArgumentChecker, Protocol):
    """The engine itself: it runs agents, and knows what their tools take."""


SET_UP_AT_ONCE = 4
"""Setting up a run takes about 2 ms of the loop; of fifty at once, events would wait for each."""
LONGEST_SET_UP_S = 0.01
"""
A run gives its place up when its first output is there, or after this: it may wait for its model.

So 400 runs a second can begin whatever their models do, more than a processor can set up.
"""


class DeferredEngine:
    """
    The ports `AgentEngine` and `ArgumentChecker`, loaded when first needed.

    Importing an agent framework takes longer than the rest of a cold start. Clients learn that
    their run exists without waiting for it. Of many runs that begin at once, a few are set up at a
    time, so that the events of those under way are not held up.
    """

    def __init__(self, load: Callable[[], LoadedEngine]) -> None:
        self._load = load
        self._loading: asyncio.Future[LoadedEngine] | None = None
        self._engine: LoadedEngine | None = None
        self._places = asyncio.Semaphore(SET_UP_AT_ONCE)

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        """Load the engine if needed, then run one turn; see the port."""
        # Once loaded it has no generator around it, which would cost time at each event.
        if self._engine is None:
            return self._load_and_run(task, before_tool)
        return _InTurn(self._engine.run(task, before_tool=before_tool), self._places)

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


class _InTurn(AsyncGenerator[EngineOutput, None]):
    """A run that waits for its turn to be set up; what it yields from then on is the source's."""

    def __init__(
        self, source: AsyncGenerator[EngineOutput, None], places: asyncio.Semaphore
    ) -> None:
        self._source = source
        self._places = places
        self._holds_place = False
        self._next: Callable[[], Coroutine[Any, Any, EngineOutput]] = self._begin

    def __anext__(self) -> Coroutine[Any, Any, EngineOutput]:
        return self._next()

    async def _begin(self) -> EngineOutput:
        await self._places.acquire()
        self._holds_place = True
        leaving = asyncio.get_running_loop().call_later(LONGEST_SET_UP_S, self._leave)
        self._next = self._source.__anext__
        try:
            return await self._next()
        finally:
            leaving.cancel()
            self._leave()

    def _leave(self) -> None:
        if self._holds_place:
            self._holds_place = False
            self._places.release()

    async def aclose(self) -> None:
        await self._source.aclose()

    async def asend(self, value: None) -> EngineOutput:
        return await self._source.asend(value)

    async def athrow(self, *error: Any) -> EngineOutput:
        return await self._source.athrow(*error)


def _has_failed(loading: "asyncio.Future[LoadedEngine]") -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)
