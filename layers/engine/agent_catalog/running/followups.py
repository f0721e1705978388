"""Questions that the user may want to ask next, suggested by a call of the model."""

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_ai import Agent as AiAgent
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResultEvent
from pydantic_ai.usage import RunUsage, UsageLimits

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
    timeout_s: float = TIMEOUT_S,
) -> tuple[str, ...]:
    """
    Ask a model for three suggestions, and add what it uses to `usage`.

    Args:
        exchange: What was said; only the beginning of long texts is sent.
        model: Returns the model.
        usage: The run's usage.
        timeout_s: How long the call may take.

    Returns:
        Three short texts, or none if the call fails or takes too long.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return (await _asked(exchange, model(), usage)).suggestions
    except Exception as error:  # noqa: BLE001 - the run must not fail after its answer
        _log.warning("no follow-ups: %s", type(error).__name__, exc_info=error)
        return ()


async def _asked(exchange: Exchange, model: Model, usage: RunUsage) -> Suggestions:
    # Streamed like every other call of the model, so that it needs no other permission.
    run = _suggester().run_stream_events(
        exchange.model_dump_json(),
        model=model,
        usage=usage,
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
