"""An engine that is loaded by its first run while START goes out, or before a snapshot."""

import asyncio
import gc
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.ports import AgentEngine, AgentTask, ArgumentChecker, TurnHost
from agentrun.domain.turns import TurnEnding


class LoadedEngine(AgentEngine, ArgumentChecker, Protocol):
    """The engine itself: it runs agents, and knows what their tools take."""


SET_UP_AT_ONCE, SET_UP_S = 2, 0.01
"""
How many runs begin within how many seconds: 200 a second, more than a process can execute.

Setting up a run takes about 2 ms of the event loop, and a run of one event 5 ms in all. Of fifty
that begin at once, the events of the runs under way would wait for one after the other.
"""


class DeferredEngine:
    """
    The ports `AgentEngine` and `ArgumentChecker`, loaded when first needed.

    Importing an agent framework takes longer than the rest of a cold start. Clients learn that
    their run exists without waiting for it. Of many runs that begin at once, a few are set up at a
    time, so that the events of others go out between them.
    """

    def __init__(self, load: Callable[[], LoadedEngine]) -> None:
        self._load = load
        self._loading: asyncio.Future[LoadedEngine] | None = None
        self._engine: LoadedEngine | None = None
        self._set_ups = deque([-math.inf] * SET_UP_AT_ONCE, SET_UP_AT_ONCE)

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        """Load the engine if nobody has, then run one turn; see the port."""
        await self.ready()
        assert self._engine is not None  # noqa: S101 - it is ready
        await self._wait_to_set_up()
        return await self._engine.run(task, host)

    async def _wait_to_set_up(self) -> None:
        """Wait until few other runs have just begun."""
        now_s = asyncio.get_running_loop().time()
        set_up_s = max(now_s, self._set_ups[0] + SET_UP_S)
        self._set_ups.append(set_up_s)
        if set_up_s > now_s:
            await asyncio.sleep(set_up_s - now_s)

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        """Ask the engine, which has to be `ready`; see the port."""
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
        """Begin to load the engine in a thread, unless it is loaded or loading already."""
        if self._engine is None:
            self._begin_loading()

    async def ready(self) -> None:
        """
        Wait until the engine is loaded.

        Raises:
            Exception: Loading has failed.
        """
        if self._engine is None:
            # Shielded: one run that is cancelled must not take the engine from the others.
            self._engine = await asyncio.shield(self._begin_loading())

    def _begin_loading(self) -> asyncio.Future[LoadedEngine]:
        if self._loading is None or _has_failed(self._loading):
            # After a failure the next run tries again.
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load_at_once))
        return self._loading

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
