"""A model for one run, whose answers are told while they are streamed."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.models.guarded import sound_answer
from agent_catalog.running.events import DeltaTranslator
from agentrun.domain.events import EngineEvent

# A stream that never has to wait would keep all other runs waiting.
_EVENTS_IN_A_ROW = 32


class TappedModel(WrapperModel):
    """
    Streams an answer that pydantic-ai asks for in one piece, and says its fragments meanwhile.

    An agent's graph needs the finished answer alone. Passing each event through it takes more
    processor time than everything else that happens to an event.
    """

    def __init__(
        self,
        wrapped: Model,
        say: Callable[[EngineEvent], None],
        *,
        usage: RunUsage,
        limits: UsageLimits,
        earlier_ids: Callable[[], Collection[str]],
    ) -> None:
        """
        Wrap the model for one run.

        Args:
            wrapped: The model to stream from.
            say: Called with each fragment as it comes; what it raises ends the request.
            usage: What the run has used. An answer that breaks off is added here; finished ones are
                added by the graph.
            limits: The run's limits; its limits of tokens are checked during the answer, too.
            earlier_ids: Returns the ids of the run's calls so far.
        """
        super().__init__(wrapped)
        self._say = say
        self._usage = usage
        self._limits = limits
        self._earlier_ids = earlier_ids

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Stream an answer and return it when it is complete."""
        async with self.wrapped.request_stream(
            messages, model_settings, model_request_parameters
        ) as response:
            try:
                await self._tell(response)
            except BaseException:
                self._count(response)
                raise
            return sound_answer(response.get(), self._earlier_ids())

    async def _tell(self, response: StreamedResponse) -> None:
        deltas = DeltaTranslator(self._say)
        limits = self._limits if self._limits.has_token_limits() else None
        in_a_row = counted = 0
        async for event in response:
            deltas.take(event)
            if limits is not None and (used := response.usage.total_tokens) != counted:
                counted = used
                limits.check_tokens(self._usage + response.usage)
            in_a_row += 1
            if in_a_row == _EVENTS_IN_A_ROW:
                in_a_row = 0
                await asyncio.sleep(0)
        deltas.end()

    def _count(self, response: StreamedResponse) -> None:
        """Add what an answer has used that broke off; the graph never sees it."""
        answer = response.get()
        usage = answer.usage
        if usage.cost is None:
            # There is not a price for every model.
            with suppress(LookupError, ValueError):
                usage = replace(usage, cost=answer.cost().total_price)
        self._usage.incr(usage)
        if answer.parts:
            self._usage.requests += 1
