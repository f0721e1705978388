"""The engine that runs agents with pydantic-ai, each run in a task of its own."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TypeVar

import pydantic_ai
from pydantic import JsonValue
from pydantic_ai.models import Model

from agent_catalog.binding.tool import argument_faults
from agent_catalog.catalog import AgentCatalog
from agent_catalog.models.checked import CheckedModel
from agent_catalog.models.factory import create_model
from agent_catalog.models.pool import ModelPool
from agent_catalog.running.build import BuiltAgent, build_agent
from agent_catalog.running.errors import engine_error
from agent_catalog.running.turn import Turn
from agentrun.domain.errors import CannotResumeError, EngineError
from agentrun.domain.events import Metrics
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import EngineOutput

# A server's standard error is its log, and no place for the library's first-run banner.
pydantic_ai.BANNER_ENABLED = False


class PydanticAiEngine:
    """
    Runs the catalogue's agents; implements the port `AgentEngine`.

    Agents and models are built at their first run and kept: START must not wait for them. One
    engine serves any number of runs at once, on one event loop.
    """

    def __init__(
        self, catalog: AgentCatalog, model_factory: Callable[[str], Model] = create_model
    ) -> None:
        self._catalog = catalog
        self._agents: dict[str, BuiltAgent] = {}
        self._models = ModelPool(lambda model_id: CheckedModel(model_factory(model_id)))

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        """
        Run one turn, yielding what happens as it happens; see the port.

        The model, the options and the media of the task have been checked against the agent.

        Raises:
            CannotResumeError: The turn cannot be taken up again; nothing has been done.
            EngineError: The agent failed, or was told not to act, after `Metrics`.
        """
        return in_separate_task(self._outputs(task, before_tool))

    def build_agents(self) -> None:
        """
        Build all agents now, and import their tools with them; for a process that has the time.

        One that cannot be built is left to its first run, which says so.
        """
        for agent in self._catalog.agents():
            with suppress(Exception):
                self._agent(agent.id)

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        """
        Tell what is wrong with the arguments that a call is to be approved with.

        Returns:
            The names of the arguments that do not fit, each with the reason; none where all fit,
            and for a tool of an MCP server, which checks them itself.

        Raises:
            AgentNotFoundError: No agent has this id.
        """
        found = self._agent(agent_id).tools.get(tool)
        return argument_faults(found, arguments) if found else ()

    async def _outputs(
        self, task: AgentTask, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        model_id = task.options.model or task.agent.model
        try:
            built = self._agent(task.agent.id)
            models = await self._models.for_run(model_id, built.file.followup_model)
            turn = Turn(task, built, model_id, models, before_tool=before_tool)
        except CannotResumeError:
            raise
        except EngineError:
            yield Metrics(model=model_id)
            raise
        except Exception as error:
            yield Metrics(model=model_id)
            raise engine_error(error) from error
        async with aclosing(turn.outputs()) as outputs:
            async for output in outputs:
                yield output

    def _agent(self, agent_id: str) -> BuiltAgent:
        if agent_id not in self._agents:
            file = self._catalog.definition(agent_id).file
            self._agents[agent_id] = build_agent(agent_id, file)
        return self._agents[agent_id]


T = TypeVar("T")

# Enough for a burst of a fast model to be handed over at once; little to keep in memory.
_AHEAD = 64


async def in_separate_task(source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """
    Pass on what another generator yields, while that one runs in a task of its own.

    What opens cancel scopes or sets context variables between two yields, as agent frameworks do,
    has to be closed by the task that opened it; this generator may be closed by any. It hands over
    without switching tasks for each item, which is most of what a stream between two tasks costs.

    The source is at most 64 items ahead. Closing this generator, or cancelling the task that reads
    it, cancels the source and waits until it has ended; an exception of the source is raised here
    once its items are read.
    """
    items: deque[T] = deque()
    filled, drained = asyncio.Event(), asyncio.Event()

    async def produce() -> None:
        async with aclosing(source):
            async for item in source:
                items.append(item)
                filled.set()
                if len(items) >= _AHEAD:
                    drained.clear()
                    await drained.wait()

    producer = asyncio.create_task(produce())
    producer.add_done_callback(lambda _: filled.set())
    try:
        while not producer.done() or items:
            while items:
                yield items.popleft()
            drained.set()
            if not producer.done():
                filled.clear()
                await filled.wait()
        await producer
    finally:
        producer.cancel()
        await asyncio.wait({producer})
        # Looked at, so that asyncio does not complain of what nobody is left to hear.
        _ = producer.cancelled() or producer.exception()
