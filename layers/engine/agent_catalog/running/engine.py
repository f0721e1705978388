"""The engine that runs agents with pydantic-ai."""

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pydantic_ai
from pydantic import JsonValue
from pydantic_ai.models import Model

from agent_catalog.agent_file import AgentFile
from agent_catalog.binding.tool import argument_faults
from agent_catalog.catalog import AgentCatalog
from agent_catalog.models.factory import ModelPool, create_model
from agent_catalog.models.guarded import CheckedModel
from agent_catalog.running.build import build_agent
from agent_catalog.running.built import BuiltAgent
from agent_catalog.running.engine_run import EngineRun
from agent_catalog.running.errors import engine_error
from agent_catalog.running.followups import suggested
from agentrun.domain.errors import (
    CannotResumeError,
    EngineError,
)
from agentrun.domain.events import Metrics
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.turns import TurnEnding

if TYPE_CHECKING:
    from agent_catalog.foreign.graph import BuiltGraph

# A server's standard error is its log: it must not show the library's first-run banner.
pydantic_ai.BANNER_ENABLED = False


class PydanticAiEngine:
    """
    Runs the catalogue's agents; implements the port `AgentEngine`.

    Agents and models are built at their first run and kept, so that START does not wait for them.
    One engine serves any number of concurrent runs on one event loop.
    """

    def __init__(
        self, catalog: AgentCatalog, model_factory: Callable[[str], Model] = create_model
    ) -> None:
        self._catalog = catalog
        self._agents: dict[str, BuiltAgent | BuiltGraph] = {}
        self._models = ModelPool(lambda model_id: CheckedModel(model_factory(model_id)))

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        """
        Run one turn, saying what happens as it happens; see the port.

        The caller has checked the task's model, options and media against the agent.

        Raises:
            CannotResumeError: The turn cannot be continued; nothing has been done.
            EngineError: The agent failed, or must not act; raised after `Metrics`.
        """
        model_id = task.options.model or task.agent.model
        try:
            built = await self._built(task.agent.id)
            play = await self._prepared(task, built, model_id, host)
        except CannotResumeError:
            raise
        except EngineError:
            host.say(Metrics(model=model_id))
            raise
        except Exception as error:
            host.say(Metrics(model=model_id))
            raise engine_error(error) from error
        return await play()

    async def _prepared(
        self, task: AgentTask, built: "BuiltAgent | BuiltGraph", model_id: str, host: TurnHost
    ) -> Callable[[], Awaitable[TurnEnding]]:
        file = built.file
        if isinstance(built, BuiltAgent) and not (file.endpoint and file.endpoint.a2a):
            models = await self._models_of(file, model_id, task.agent.id)
            return EngineRun(task, built, model_id, models, host).play
        others = await self._models.for_run(file.followup_model)
        model = partial(others, file.followup_model) if file.followup_model else None
        suggest = partial(suggested, task, model, host)
        # Imported here: few agents are graphs, which need a package of the user's, or services.
        if isinstance(built, BuiltAgent):
            from agent_catalog.foreign.a2a import a2a_run  # noqa: PLC0415

            return partial((await a2a_run(task, file, host)).play, suggest)
        from agent_catalog.foreign.graph import GraphRun  # noqa: PLC0415

        return partial(GraphRun(task, built, host).play, suggest)

    async def _models_of(
        self, file: AgentFile, model_id: str, agent_id: str
    ) -> Callable[[str], Model]:
        if file.endpoint is None:
            return await self._models.for_run(model_id, file.followup_model)
        # Imported here: few agents are other services.
        from agent_catalog.foreign.chat import endpoint_model  # noqa: PLC0415

        endpoint = await endpoint_model(agent_id, file.endpoint)
        others = await self._models.for_run(file.followup_model)
        return lambda wanted: endpoint if wanted == model_id else others(wanted)

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
        Check the arguments that a call is to be approved with.

        Returns:
            The names of the arguments that do not fit, each with the reason. Always empty for an
            MCP server's tool: the server checks them itself.

        Raises:
            AgentNotFoundError: No agent has this id.
        """
        found = self._agent(agent_id).tools.get(tool)
        return argument_faults(found, arguments) if found else ()

    async def _built(self, agent_id: str) -> "BuiltAgent | BuiltGraph":
        if agent_id not in self._agents and self._catalog.definition(agent_id).file.graph:
            # Importing langgraph takes a second, in which the events of other runs go out.
            return await asyncio.to_thread(self._agent, agent_id)
        return self._agent(agent_id)

    def _agent(self, agent_id: str) -> "BuiltAgent | BuiltGraph":
        if agent_id not in self._agents:
            file = self._catalog.definition(agent_id).file
            self._agents[agent_id] = build_agent(agent_id, file)
        return self._agents[agent_id]
