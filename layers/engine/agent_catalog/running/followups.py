"""Questions that the user may want to ask next, suggested by a call of the model."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_ai import Agent as AiAgent
from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.run import AgentRunResultEvent
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.running.spending import add, add_broken
from agentrun.domain.errors import EngineError
from agentrun.domain.ports import AgentTask, TurnHost

HOW_MANY = 3
TIMEOUT_S = 10.0
_MAX_CHARACTERS = 4_000
_MAX_TOKENS = 500
_INSTRUCTIONS = f"""
You are given a question that a user has put to an assistant, its answer, and the names of the
assistant's tools. Suggest {HOW_MANY} different questions or requests that the user may want to send
next: each at most ten words, in the user's own words and language, and such that the assistant can
deal with it by its tools or from the conversation.
"""

_Suggestion = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_log = logging.getLogger(__name__)


# Enough to see what it was about, and cheap.
_Beginning = Annotated[str, AfterValidator(lambda text: text[:_MAX_CHARACTERS])]


class Exchange(BaseModel):
    """A question with its answer, which the suggestions are to follow."""

    model_config = ConfigDict(defer_build=True)

    question: _Beginning
    answer: _Beginning
    tools: tuple[str, ...] = ()


class Suggestions(BaseModel):
    """What the user may send next."""

    model_config = ConfigDict(defer_build=True)

    suggestions: Annotated[tuple[_Suggestion, ...], Field(min_length=HOW_MANY, max_length=HOW_MANY)]


async def suggest_followups(
    exchange: Exchange,
    *,
    model: Callable[[], Model],
    usage: RunUsage,
    may_ask: Callable[[], Awaitable[bool]],
    timeout_s: float = TIMEOUT_S,
) -> tuple[str, ...]:
    """
    Ask a model for three suggestions, and add what it uses to `usage`.

    Args:
        exchange: What was said; only the beginning of long texts is sent.
        model: Returns the model.
        usage: The run's usage.
        may_ask: Asked before the model is asked again, for an answer that does not fit.
        timeout_s: How long the call may take.

    Returns:
        Three short texts, or none if the call fails or takes too long.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return (await _asked(exchange, _Suggesting(model(), usage, may_ask))).suggestions
    except Exception as error:  # noqa: BLE001 - the run must not fail after its answer
        _log.warning("no follow-ups: %s", type(error).__name__, exc_info=error)
        return ()


async def suggested(
    task: AgentTask, model: Callable[[], Model] | None, host: TurnHost, answer: str, usage: RunUsage
) -> tuple[str, ...]:
    """Return follow-ups to the answer of an agent that is not asked for them itself."""
    if model is None:
        return ()
    exchange = Exchange(
        question=task.message, answer=answer, tools=tuple(tool.name for tool in task.agent.tools)
    )
    return await suggest_followups(exchange, model=model, usage=usage, may_ask=host.before_model)


class _Suggesting(WrapperModel):
    """A model that is asked once, and again only if it may be; counts what each answer uses."""

    def __init__(
        self, wrapped: Model, usage: RunUsage, may_ask: Callable[[], Awaitable[bool]]
    ) -> None:
        super().__init__(wrapped)
        self._usage = usage
        self._may_ask = may_ask
        self._was_asked = False

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        """Stream an answer; EngineError if the model may not be asked again."""
        if self._was_asked and not await self._may_ask():
            raise EngineError("The budget is spent.")
        self._was_asked = True
        asked = messages, model_settings, model_request_parameters
        async with self.wrapped.request_stream(*asked, run_context) as stream:
            is_whole = False
            try:
                yield stream
                is_whole = True
            finally:
                # A run of pydantic-ai hands on what it has used only if it does not fail.
                if is_whole:
                    add(self._usage, stream.get())
                else:
                    add_broken(self._usage, stream.get(), messages, model_request_parameters)


async def _asked(exchange: Exchange, model: Model) -> Suggestions:
    # Streamed like every other call of the model, so that it needs no other permission.
    run = _suggester().run_stream_events(
        exchange.model_dump_json(),
        model=model,
        usage_limits=UsageLimits(request_limit=None),
    )
    async with run as events:
        async for event in events:
            if isinstance(event, AgentRunResultEvent):
                return event.result.output
    raise ValueError("the run has no result")


@cache
def _suggester() -> AiAgent[None, Suggestions]:
    return AiAgent(
        name="followups",
        output_type=Suggestions,
        instructions=_INSTRUCTIONS,
        # Otherwise a model may spend its few tokens on thinking.
        model_settings={"max_tokens": _MAX_TOKENS, "thinking": False},
        retries=1,
    )
