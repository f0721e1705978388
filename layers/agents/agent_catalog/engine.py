"""The engine that runs agents with pydantic-ai."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import pydantic_ai
from pydantic_ai import Agent as AiAgent
from pydantic_ai.agent import AgentRunEvents
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.agent_file import AgentFile
from agent_catalog.catalog import AgentCatalog
from agent_catalog.engine_errors import engine_error
from agent_catalog.engine_events import EventTranslator, metrics
from agent_catalog.models import create_model
from agent_catalog.prompt import user_prompt
from agent_catalog.session import Session
from agent_catalog.tool_binding import bind_tool
from agentrun.domain.errors import EngineError
from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentTask
from agentrun.domain.requests import RunOptions

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
        self._create_model = model_factory
        self._agents: dict[str, AiAgent[Session, str]] = {}
        self._models: dict[str, Model] = {}

    async def run(self, task: AgentTask) -> AsyncGenerator[EngineEvent, None]:
        """
        Run one turn, yielding what happens as it happens; `Metrics` is always the last event.

        The model, the options and the media of the task have been checked against the agent.
        Closing the generator, or cancelling the task that reads it, closes the model's stream.

        Raises:
            EngineError: The agent failed, after `Metrics`; a new run may be tried.
        """
        translator, usage = EventTranslator(), RunUsage()
        failure: Exception | None = None
        try:
            async with self._stream(task, usage) as events:
                async for event in events:
                    translated = translator.translate(event)
                    if translated is not None:
                        yield translated
        except Exception as error:  # noqa: BLE001 - raised below, after what is still to be said
            failure = error
        for unfinished in translator.unfinished():
            yield unfinished
        yield metrics(usage, _model_id(task))
        if isinstance(failure, EngineError):
            raise failure
        if failure is not None:
            raise engine_error(failure) from failure

    def _stream(
        self, task: AgentTask, usage: RunUsage
    ) -> AbstractAsyncContextManager[AgentRunEvents[str]]:
        file = self._catalog.definition(task.agent.id).file
        # Given per run, since a request may replace them; the agent itself has none to add to.
        instructions = task.options.system_prompt or file.instructions
        return self._agent(task.agent.id, file).run_stream_events(
            user_prompt(task),
            model=self._model(_model_id(task)),
            instructions=instructions or None,
            model_settings=_settings(task.options),
            usage_limits=UsageLimits(**file.limits.model_dump()),
            usage=usage,
            deps=Session(task.tenant, task.user_id, task.session_id),
        )

    def _agent(self, agent_id: str, file: AgentFile) -> AiAgent[Session, str]:
        if agent_id not in self._agents:
            spec = {
                "name": agent_id,
                "model_settings": file.model_settings,
                "retries": file.retries,
                "tool_timeout": file.tool_timeout,
                "capabilities": list(file.capabilities),
            }
            tools = [
                bind_tool(reference, needs_approval=reference.partition(":")[2] in file.approval)
                for reference in file.tools
            ]
            self._agents[agent_id] = AiAgent.from_spec(spec, deps_type=Session, tools=tools)
        return self._agents[agent_id]

    def _model(self, model_id: str) -> Model:
        if model_id not in self._models:
            self._models[model_id] = self._create_model(model_id)
        return self._models[model_id]


def _model_id(task: AgentTask) -> str:
    return task.options.model or task.agent.model


def _settings(options: RunOptions) -> ModelSettings:
    settings = ModelSettings()
    if options.temperature is not None:
        settings["temperature"] = options.temperature
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    return settings
