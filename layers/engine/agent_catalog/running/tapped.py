"""A run's model: says what it hears, asks before it asks, and asks again what broke off."""

import asyncio
from collections.abc import Callable, Collection

from pydantic_ai import exceptions as ai
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.models.guarded import sound_answer
from agent_catalog.running.events import DeltaTranslator
from agent_catalog.running.spending import add_broken
from agentrun.domain.ports import TurnHost

ASKED_AGAIN = 2
"""How often an answer that breaks off is asked for again."""
# A stream that never has to wait would keep all other runs waiting.
_EVENTS_IN_A_ROW = 32


class BudgetSpentError(Exception):
    """The run's budget is spent, and the run is to pause; no model has been asked."""


class TappedModel(WrapperModel):
    """
    Streams an answer that pydantic-ai asks for in one piece, and says its fragments meanwhile.

    An agent's graph needs the finished answer alone. Passing each event through it takes more
    processor time than everything else that happens to an event.

    An answer that breaks off in its midst is taken back and asked for again, a few times. What
    fails before a stream is open has been repeated by the provider's client already.
    """

    def __init__(
        self,
        wrapped: Model,
        host: TurnHost,
        *,
        usage: RunUsage,
        limits: UsageLimits,
        asked_again: int = ASKED_AGAIN,
        earlier_ids: Callable[[], Collection[str]],
        say_figures: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Wrap the model for one run.

        Args:
            wrapped: The model to stream from.
            host: Asked before each request, and told each fragment as it comes; what it raises ends
                the request.
            usage: What the run has used. An answer that breaks off is added here; finished ones are
                added by the graph.
            limits: The run's limits; those of tokens are checked every 32 events of an answer, too.
            asked_again: How often an answer that breaks off is asked for again.
            earlier_ids: Returns the ids of the run's calls so far.
            say_figures: Says what the run has used if that has changed.
        """
        super().__init__(wrapped)
        self._host = host
        self._usage = usage
        self._limits = limits
        self._asked_again = asked_again
        self._earlier_ids = earlier_ids
        self._say_figures = say_figures
        self._has_said = False
        self._interrupted = False

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """
        Stream an answer and return it when it is complete.

        Raises:
            BudgetSpentError: The run is to pause instead.
        """
        for repeats_left in reversed(range(self._asked_again + 1)):
            await self._ask_host()
            try:
                answer = await self._streamed(messages, model_settings, model_request_parameters)
            except Exception:
                if not self._interrupted or not repeats_left:
                    raise
                if self._has_said:
                    self._host.void_answer()
                # The graph counts one request for all of them.
                self._limits.check_before_request(self._usage)
            else:
                return answer
        raise AssertionError("the last repeat returns or raises")

    async def _ask_host(self) -> None:
        self._say_figures()
        if not await self._host.before_model():
            raise BudgetSpentError

    async def _streamed(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        self._interrupted = self._has_said = False
        async with self.wrapped.request_stream(
            messages, model_settings, model_request_parameters
        ) as response:
            try:
                await self._tell(response)
            except BaseException as error:
                parts = response.get().parts
                self._interrupted = is_interruption(error, has_begun=bool(parts))
                self._has_said = any(map(_is_said, parts))
                # The graph never sees it.
                add_broken(self._usage, response.get(), messages, model_request_parameters)
                raise
            return sound_answer(response.get(), self._earlier_ids())

    async def _tell(self, response: StreamedResponse) -> None:
        deltas = DeltaTranslator(self._host.say)
        in_a_row = 0
        async for event in response:
            deltas.take(event)
            in_a_row += 1
            if in_a_row == _EVENTS_IN_A_ROW:
                in_a_row = 0
                # The graph checks them after the answer.
                if self._limits.has_token_limits():
                    self._limits.check_tokens(self._usage + response.usage)
                await asyncio.sleep(0)
        deltas.end()


def is_interruption(error: BaseException, *, has_begun: bool) -> bool:
    """
    Return whether an error of an open stream is one that may not come again.

    A provider that refuses a request, filters its answer or has reached a quota would do it again.
    A model that is silent for as long as it may be before its answer has begun is not interrupted:
    its caller has waited long enough.
    """
    if isinstance(error, ai.ModelTimeoutError) and not has_begun:
        return False
    if isinstance(error, ai.ModelRequestRejectedError | ai.ModelQuotaExceededError):
        return False
    if isinstance(error, ai.ModelHTTPError):
        # Such as Bedrock's modelStreamErrorException, which has no class of its own.
        return error.in_stream
    if type(error) is ai.ModelAPIError:
        # OpenAI-compatible servers: pydantic-ai says only in words that the stream ended early.
        return "finish_reason" in str(error)
    passing = (
        ai.ModelConnectionError,
        ai.ModelRateLimitError,
        ai.ModelUnavailableError,
        ai.ModelServerError,
    )
    return isinstance(error, passing)


def _is_said(part: ModelResponsePart) -> bool:
    return isinstance(part, TextPart | ThinkingPart) and bool(part.content)
