"""One turn of one agent, from the task to how it ends."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial

from pydantic_ai import Agent as AiAgent
from pydantic_ai import CallToolsNode, DeferredToolRequests, ModelRequestNode
from pydantic_ai.messages import AgentStreamEvent, ModelMessage, ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRun
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

from agent_catalog.running.build import BuiltAgent, Output
from agent_catalog.running.errors import shown_error
from agent_catalog.running.events import EventTranslator
from agent_catalog.running.followups import Exchange, suggest_followups
from agent_catalog.running.history import to_messages, tool_results, user_prompt
from agent_catalog.running.messages import for_later_turns
from agent_catalog.running.pauses import check_all_calls, pause, resume_turn
from agent_catalog.running.spending import Spent, metrics, remaining_limits
from agent_catalog.toolkit import Session, ToolResults
from agent_catalog.unicode_text import whole_text
from agentrun.domain.errors import CannotResumeError, EngineError
from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentTask
from agentrun.domain.requests import RunOptions
from agentrun.domain.turns import EngineOutput, TurnEnded, TurnPaused

_Node = ModelRequestNode[Session, Output] | CallToolsNode[Session, Output]


class Turn:
    """A new turn, or one that is taken up after its pause; to be run once."""

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
        Prepare a turn; nothing is done yet.

        Raises:
            CannotResumeError: It cannot be taken up.
            EngineError: Its model is not set up.
        """
        self._task = task
        self._built = built
        self._model_id = model_id
        self._models = models
        self._before_tool = before_tool
        self._taken_up = resume_turn(task, built.tools)
        self._model = models(model_id)
        self._usage = RunUsage()
        self._translator = EventTranslator(
            needing_approval={tool.name for tool in task.agent.tools if tool.requires_approval},
            approved=self._taken_up.approved if self._taken_up else (),
        )

    async def outputs(self) -> AsyncGenerator[EngineOutput, None]:
        """Run the turn as the port `AgentEngine` wants it."""
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
        except Exception as error:  # noqa: BLE001 - raised below, after what is still to be said
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
        task, taken_up, file = self._task, self._taken_up, self._built.file
        so_far = taken_up.messages if taken_up else []
        return self._built.agent.iter(
            None if taken_up else user_prompt(task),
            message_history=[
                *to_messages(task.history, file.history, context_window=self._model.context_window),
                *so_far,
            ],
            deferred_tool_results=taken_up.results if taken_up else None,
            model=self._model,
            # Given per run, since a request may replace them; the agent has none to add to.
            instructions=_instructions(task.options.system_prompt)
            or _instructions(file.instructions),
            model_settings=_settings(task.options),
            usage_limits=remaining_limits(file.limits, self._spent),
            usage=self._usage,
            deps=Session(
                task.tenant,
                task.user_id,
                task.session_id,
                # Of all turns, also those that the model is not shown any more.
                ToolResults(partial(tool_results, task.history, so_far)),
                self._before_tool,
            ),
        )

    @property
    def _spent(self) -> Spent:
        return self._taken_up.spent if self._taken_up else Spent()

    @asynccontextmanager
    async def _stream(
        self, node: _Node, run: AgentRun[Session, Output]
    ) -> AsyncGenerator[AsyncIterable[AgentStreamEvent], None]:
        async with node.stream(run.ctx) as events:
            decided = isinstance(node, CallToolsNode) and node.tool_call_results is not None
            if not decided or self._taken_up is None:
                yield events
                return
            calls = len(self._taken_up.results.approvals)
            async with aclosing(check_all_calls(aiter(events), calls)) as checked:
                yield checked

    async def _ending(self, run: AgentRun[Session, Output]) -> TurnEnded | TurnPaused:
        if run.result is None:
            raise EngineError("The agent broke off.")
        earlier = self._taken_up.messages if self._taken_up else []
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
    # A blank one says nothing, and Bedrock refuses it.
    return whole_text(text) if text and text.strip() else None


def _settings(options: RunOptions) -> ModelSettings:
    settings = ModelSettings()
    if options.temperature is not None:
        settings["temperature"] = options.temperature
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    return settings
