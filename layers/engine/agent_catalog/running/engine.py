"""The engine that runs agents with pydantic-ai, each run in a task of its own."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import TypeVar

import pydantic_ai
from pydantic import JsonValue
from pydantic_ai import Agent as AiAgent
from pydantic_ai import CallToolsNode, DeferredToolRequests, ModelRequestNode
from pydantic_ai.messages import AgentStreamEvent, ModelMessage, ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRun
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

from agent_catalog.binding.tool import argument_faults
from agent_catalog.catalog import AgentCatalog
from agent_catalog.json_form import whole_text
from agent_catalog.models.factory import ModelPool, create_model
from agent_catalog.models.guarded import CheckedModel
from agent_catalog.running.build import BuiltAgent, Output, build_agent
from agent_catalog.running.errors import engine_error, shown_error
from agent_catalog.running.events import EventTranslator
from agent_catalog.running.followups import Exchange, suggest_followups
from agent_catalog.running.history import for_later_turns, to_messages, tool_results, user_prompt
from agent_catalog.running.pauses import check_all_calls, pause, resume
from agent_catalog.running.spending import Spent, metrics, remaining_limits
from agent_catalog.toolkit import Session, ToolResults
from agentrun.domain.errors import CannotResumeError, EngineError
from agentrun.domain.events import EngineEvent, Metrics
from agentrun.domain.ports import AgentTask
from agentrun.domain.requests import RunOptions
from agentrun.domain.turns import EngineOutput, TurnEnded, TurnPaused

# A server's standard error is its log: it must not show the library's first-run banner.
pydantic_ai.BANNER_ENABLED = False


T = TypeVar("T")
_Node = ModelRequestNode[Session, Output] | CallToolsNode[Session, Output]
# Enough to hand over a fast model's burst at once, and little to keep in memory.
_AHEAD = 64


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
        self._agents: dict[str, BuiltAgent] = {}
        self._models = ModelPool(lambda model_id: CheckedModel(model_factory(model_id)))

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        """
        Run one turn, yielding what happens as it happens; see the port.

        The caller has checked the task's model, options and media against the agent.

        Raises:
            CannotResumeError: The turn cannot be continued; nothing has been done.
            EngineError: The agent failed, or must not act; raised after `Metrics`.
        """
        return in_separate_task(self._outputs(task, before_tool))

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

    async def _outputs(
        self, task: AgentTask, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        model_id = task.options.model or task.agent.model
        try:
            built = self._agent(task.agent.id)
            models = await self._models.for_run(model_id, built.file.followup_model)
            run = EngineRun(task, built, model_id, models, before_tool=before_tool)
        except CannotResumeError:
            raise
        except EngineError:
            yield Metrics(model=model_id)
            raise
        except Exception as error:
            yield Metrics(model=model_id)
            raise engine_error(error) from error
        async with aclosing(run.outputs()) as outputs:
            async for output in outputs:
                yield output

    def _agent(self, agent_id: str) -> BuiltAgent:
        if agent_id not in self._agents:
            file = self._catalog.definition(agent_id).file
            self._agents[agent_id] = build_agent(agent_id, file)
        return self._agents[agent_id]


async def in_separate_task(source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """
    Yield what another generator yields while it runs in a task of its own.

    A generator that opens cancel scopes or sets context variables between two yields, as agent
    frameworks do, has to be closed by the task that opened it; this one may be closed by any task.
    It does not switch tasks for each item, which would be most of the cost.

    The source is at most 64 items ahead. Closing this generator, or cancelling the task that reads
    it, cancels the source and waits for its end. An exception of the source is raised here after
    its items.
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
        # Retrieve the exception, or asyncio would log that nobody did.
        _ = producer.cancelled() or producer.exception()


class EngineRun:
    """One run of an agent: a new turn, or one that continues after its pause; runs once."""

    def __init__(
        self,
        task: AgentTask,
        built: BuiltAgent,
        model_id: str,
        models: Callable[[str], Model],
        *,
        before_tool: Callable[[], None],
    ) -> None:
        """
        Prepare the run, without doing anything yet.

        Raises:
            CannotResumeError: The turn cannot be continued.
            EngineError: The model is not set up.
        """
        self._task = task
        self._built = built
        self._model_id = model_id
        self._models = models
        self._before_tool = before_tool
        self._resumed = resume(task, task.resumption, built.tools) if task.resumption else None
        self._model = models(model_id)
        self._usage = RunUsage()
        self._translator = EventTranslator(
            needing_approval={tool.name for tool in task.agent.tools if tool.requires_approval},
            approved=self._resumed.approved if self._resumed else (),
        )

    async def outputs(self) -> AsyncGenerator[EngineOutput, None]:
        """Run the agent; yield what the port `AgentEngine` asks for."""
        failure: Exception | None = None
        ending: TurnEnded | TurnPaused | None = None
        try:
            async with self._run() as run:
                async with aclosing(self._events(run)) as events:
                    async for event in events:
                        yield event
                ending = await self._ending(run)
        except CannotResumeError:
            raise
        except Exception as error:  # noqa: BLE001 - raised below, after the last events
            failure = error
        for unfinished in self._translator.unfinished():
            yield unfinished
        yield metrics(self._usage, self._model_id)
        if isinstance(failure, EngineError):
            raise failure
        if failure is not None:
            raise shown_error(failure, self._built.file.limits) from failure
        if ending is not None:
            yield ending

    async def _events(self, run: AgentRun[Session, Output]) -> AsyncGenerator[EngineEvent, None]:
        async for node in run:
            if AiAgent.is_model_request_node(node) or AiAgent.is_call_tools_node(node):
                async with self._stream(node, run) as events:
                    async for event in events:
                        translated = self._translator.translate(event)
                        if translated is not None:
                            yield translated
                if AiAgent.is_model_request_node(node):
                    yield metrics(self._usage, self._model_id)

    def _run(self) -> AbstractAsyncContextManager[AgentRun[Session, Output]]:
        task, resumed, file = self._task, self._resumed, self._built.file
        so_far = resumed.messages if resumed else []
        return self._built.agent.iter(
            None if resumed else user_prompt(task),
            message_history=[
                *to_messages(task.history, file.history, context_window=self._model.context_window),
                *so_far,
            ],
            deferred_tool_results=resumed.results if resumed else None,
            model=self._model,
            # Set per run, since a request may replace them; the agent itself has none.
            instructions=_instructions(task.options.system_prompt)
            or _instructions(file.instructions),
            model_settings=_settings(task.options),
            usage_limits=remaining_limits(file.limits, self._spent),
            usage=self._usage,
            deps=Session(
                task.tenant,
                task.user_id,
                task.session_id,
                # Of all turns, including those that the model no longer sees.
                ToolResults(partial(tool_results, task.history, so_far)),
                self._before_tool,
            ),
        )

    @property
    def _spent(self) -> Spent:
        return self._resumed.spent if self._resumed else Spent()

    @asynccontextmanager
    async def _stream(
        self, node: _Node, run: AgentRun[Session, Output]
    ) -> AsyncGenerator[AsyncIterable[AgentStreamEvent], None]:
        async with node.stream(run.ctx) as events:
            decided = isinstance(node, CallToolsNode) and node.tool_call_results is not None
            if not decided or self._resumed is None:
                yield events
                return
            calls = len(self._resumed.results.approvals)
            async with aclosing(check_all_calls(aiter(events), calls)) as checked:
                yield checked

    async def _ending(self, run: AgentRun[Session, Output]) -> TurnEnded | TurnPaused:
        if run.result is None:
            raise EngineError("The agent broke off.")
        earlier = self._resumed.messages if self._resumed else []
        messages = [*earlier, *run.new_messages()]
        output = run.result.output
        if isinstance(output, DeferredToolRequests):
            return pause(output, messages, self._spent.plus(self._usage))
        return TurnEnded(
            messages=for_later_turns(messages), followups=await self._followups(messages)
        )

    async def _followups(self, messages: list[ModelMessage]) -> tuple[str, ...] | None:
        if not self._task.generate_followups:
            return None
        texts = [message.text or "" for message in messages if isinstance(message, ModelResponse)]
        exchange = Exchange(
            question=self._task.message,
            answer="".join(texts),
            tools=tuple(tool.name for tool in self._task.agent.tools),
        )
        model_id = self._built.file.followup_model or self._model_id
        return await suggest_followups(
            exchange, model=lambda: self._models(model_id), usage=self._usage
        )


def _instructions(text: str | None) -> str | None:
    # Bedrock refuses blank instructions.
    return whole_text(text) if text and text.strip() else None


def _settings(options: RunOptions) -> ModelSettings:
    settings = ModelSettings()
    if options.temperature is not None:
        settings["temperature"] = options.temperature
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    return settings
