"""One run of an agent of pydantic-ai."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Collection,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from functools import partial

from pydantic_ai import Agent as AiAgent
from pydantic_ai import CallToolsNode, DeferredToolRequests
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolResultEvent,
    ModelMessage,
    ModelResponse,
    ToolCallPart,
)
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRun
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

from agent_catalog.binding.gates import HeldCalls
from agent_catalog.models.sendable import call_ids
from agent_catalog.running.built import BuiltAgent, Output, not_blank, not_set_up
from agent_catalog.running.errors import shown_error
from agent_catalog.running.events import ToolTranslator, metrics
from agent_catalog.running.followups import Exchange, suggest_followups
from agent_catalog.running.history import for_later_turns, to_messages, tool_results, user_prompt
from agent_catalog.running.pauses import Spent, pause, remaining_limits
from agent_catalog.running.progress import Progress, check_all_calls, progress_of
from agent_catalog.running.steps import acting_calls, answered, joined, returned
from agent_catalog.running.tapped import ASKED_AGAIN, BudgetSpentError, TappedModel
from agent_catalog.toolkit import Session, ToolResults
from agentrun.domain.errors import (
    AgentrunError,
    BudgetExceededError,
    CancelRequestedError,
    CannotResumeError,
    EngineError,
    HandedOverError,
)
from agentrun.domain.events import PauseType
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.requests import RunOptions
from agentrun.domain.steps import Began
from agentrun.domain.turns import TurnEnded, TurnEnding


class EngineRun:
    """One run of an agent: a new turn, or one that goes on after its last step; runs once."""

    def __init__(
        self,
        task: AgentTask,
        built: BuiltAgent,
        model_id: str,
        models: Callable[[str], Model],
        host: TurnHost,
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
        self._host = host
        self._progress = progress = progress_of(task, built.tools)
        self._model = models(model_id)
        self._usage = RunUsage()
        self._figures = metrics(self._usage, model_id)
        self._needing_approval = {t.name for t in task.agent.tools if t.requires_approval}
        self._tools = ToolTranslator(
            needing_approval=self._needing_approval,
            approved=progress.approved if progress else (),
            settled=progress.settled if progress else (),
            started=_still_running(progress, task.started),
        )

    async def play(self) -> TurnEnding:
        """Run the agent to its end; say what the port `AgentEngine` asks for."""
        doubt = self._progress.in_doubt() if self._progress else None
        if doubt is not None:
            self._host.say(self._figures)
            return doubt
        try:
            ending = await self._ended()
        except (CancelRequestedError, CannotResumeError, HandedOverError):
            raise
        except asyncio.CancelledError:
            # What was used in the midst of an answer counts, whether the run goes on or not.
            with suppress(EngineError):
                self._say_figures()
            raise
        except AgentrunError as error:
            if isinstance(error, EngineError):
                self._say_rest()
            raise
        except Exception as error:
            self._say_rest()
            raise shown_error(error, self._built.file.limits) from error
        self._say_rest()
        return ending

    async def _ended(self) -> TurnEnding:
        async with self._run() as graph:
            self._graph = graph
            try:
                await self._follow(graph)
            except BudgetSpentError:
                return pause(self._messages(graph), self._spent_now(), kind=PauseType.BUDGET)
            return await self._ending(graph)

    def _say_rest(self) -> None:
        for unfinished in self._tools.unfinished():
            self._host.say(unfinished)
        self._host.say(metrics(self._usage, self._model_id))

    def _say_figures(self) -> None:
        figures = metrics(self._usage, self._model_id)
        if figures != self._figures:
            self._figures = figures
            self._host.say(figures)

    async def _follow(self, run: AgentRun[Session, Output]) -> None:
        """Let the graph run; what the model says is said by `TappedModel`."""
        async for node in run:
            if AiAgent.is_call_tools_node(node):
                self._say_figures()
                await self._keep_answer(node)
                async with self._events(node, run) as events:
                    async for event in events:
                        await self._take(event)

    async def _keep_answer(self, node: CallToolsNode[Session, Output]) -> None:
        """
        Keep an answer that calls tools, before any of them begins.

        If the turn goes on with an answer that is kept already, only what acts now is kept: it has
        not begun before, and the next executor has to know that it may have.
        """
        response, progress = node.model_response, self._progress
        if node.tool_call_results is None:
            if response.tool_calls:
                await self._host.keep(answered(response, self._acting(response.tool_calls)))
        elif progress and self._task.steps:
            left = [call for call in progress.open if call.tool_call_id not in progress.settled]
            if acting := self._acting(left, progress.approved):
                await self._host.keep(Began(acting=acting))

    def _acting(
        self, calls: Sequence[ToolCallPart], approved: Collection[str] = ()
    ) -> tuple[str, ...]:
        others = self._built.has_others
        return acting_calls(calls, self._task.agent, has_others=others, approved=approved)

    async def _take(self, event: AgentStreamEvent) -> None:
        translated = self._tools.translate(event)
        if isinstance(event, FunctionToolResultEvent):
            await self._host.keep(returned(event), say=translated)
            self._tools.ended(event.part.tool_call_id)
        elif translated is not None:
            self._host.say(translated)

    def _run(self) -> AbstractAsyncContextManager[AgentRun[Session, Output]]:
        task, progress, file = self._task, self._progress, self._built.file
        so_far = progress.messages if progress else []
        limits = remaining_limits(file.limits, self._spent)
        return self._built.iterate(
            self._session(),
            instructions=not_blank(task.options.system_prompt),
            user_prompt=None if progress else user_prompt(task),
            message_history=[
                *to_messages(task.history, file.history, context_window=self._model.context_window),
                *so_far,
            ],
            deferred_tool_results=progress.results if progress else None,
            model=TappedModel(
                self._model,
                self._host,
                usage=self._usage,
                limits=limits,
                asked_again=0 if file.endpoint and task.agent.max_attempts == 1 else ASKED_AGAIN,
                # A model may rewrite ids on their way out (Mistral's have nine characters).
                earlier_ids=lambda: call_ids(self._graph.all_messages()),
                say_figures=self._say_figures,
            ),
            model_settings=_settings(task.options),
            usage_limits=limits,
            usage=self._usage,
            capabilities=[HeldCalls(progress.held)] if progress and progress.held else [],
        )

    def _session(self) -> Session:
        task, progress = self._task, self._progress
        so_far = progress.messages_with_given if progress else []
        return Session(
            task.tenant,
            task.user_id,
            task.session_id,
            run_id=task.run_id,
            # Of all turns, including those that the model no longer sees.
            results=ToolResults(partial(tool_results, task.history, so_far)),
            before_tool=self._host.before_tool,
        )

    @property
    def _spent(self) -> Spent:
        return self._progress.spent if self._progress else Spent()

    def _spent_now(self) -> Spent:
        return self._spent.plus(self._usage)

    @asynccontextmanager
    async def _events(
        self, node: CallToolsNode[Session, Output], run: AgentRun[Session, Output]
    ) -> AsyncGenerator[AsyncIterable[AgentStreamEvent], None]:
        progress = self._progress
        async with node.stream(run.ctx) as events:
            if node.tool_call_results is None or progress is None or not progress.may_refuse:
                yield events
                return
            checked = check_all_calls(aiter(events), len(progress.open), progress.approved)
            async with aclosing(checked):
                yield checked

    def _messages(self, run: AgentRun[Session, Output]) -> list[ModelMessage]:
        """Return the turn's messages, as they would be without the interruptions."""
        earlier = self._progress.messages if self._progress else []
        return joined([*earlier, *run.new_messages()])

    async def _ending(self, run: AgentRun[Session, Output]) -> TurnEnding:
        if run.result is None:
            raise EngineError("The agent broke off.")
        messages = self._messages(run)
        output = run.result.output
        if isinstance(output, DeferredToolRequests):
            self._check_named(output)
            return pause(messages, self._spent_now(), pending=output.approvals)
        return TurnEnded(
            messages=for_later_turns(messages), followups=await self._followups(messages)
        )

    def _check_named(self, requests: DeferredToolRequests) -> None:
        """Refuse approvals that only the agent's code asks for: the start of the call is told."""
        for call in requests.approvals:
            name = call.tool_name
            if name not in self._needing_approval:
                raise not_set_up(f"'{name}' needs an approval that its file does not name")

    async def _followups(self, messages: list[ModelMessage]) -> tuple[str, ...] | None:
        if not self._task.generate_followups or not await self._may_suggest():
            return None
        if self._built.file.endpoint and not self._built.file.followup_model:
            # A service that acts is not asked for more than the user has asked for.
            return ()
        texts = [message.text or "" for message in messages if isinstance(message, ModelResponse)]
        exchange = Exchange(
            question=self._task.message,
            answer="".join(texts),
            tools=tuple(tool.name for tool in self._task.agent.tools),
        )
        model_id = self._built.file.followup_model or self._model_id
        return await suggest_followups(
            exchange,
            model=lambda: self._models(model_id),
            usage=self._usage,
            may_ask=self._may_suggest,
        )

    async def _may_suggest(self) -> bool:
        """Ask the host as before any call of a model; the answer stands without suggestions."""
        self._say_figures()
        try:
            return await self._host.before_model()
        except (BudgetExceededError, HandedOverError):
            # The answer is whole and no step: elsewhere it would have to be made again.
            return False


def _still_running(progress: Progress | None, started: Collection[str]) -> dict[str, str]:
    calls = progress.open if progress else ()
    return {call.tool_call_id: call.tool_name for call in calls if call.tool_call_id in started}


def _settings(options: RunOptions) -> ModelSettings:
    settings = ModelSettings()
    if options.temperature is not None:
        settings["temperature"] = options.temperature
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    return settings
