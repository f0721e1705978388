"""A model whose answers are made sound when they come, and fit to be sent when they go back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from agent_catalog.models.sendable_messages import sendable
from agent_catalog.models.sound_answers import call_ids, sound_answer, sound_events
from agent_catalog.running.spending import with_max_tokens


class CheckedModel(WrapperModel):
    """
    Wraps a model: nothing reaches its provider that the provider would refuse to take back.

    It stands between pydantic-ai and every request, so one rule holds for the next step of a run,
    for the next turn of a conversation (whichever version has stored it) and after a pause. The
    messages that pydantic-ai keeps, which are stored and shown, are left as they are. No request
    asks for more tokens than an agent needs, unless its file or its caller does.
    """

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for an answer that comes at once."""
        answer = await self.wrapped.request(
            sendable(messages, self.wrapped, model_request_parameters),
            with_max_tokens(model_settings, self.wrapped),
            model_request_parameters,
        )
        return sound_answer(answer, call_ids(messages))

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Ask for an answer that is streamed."""
        # A model may rewrite ids on their way out (Mistral's have nine characters): the run's own
        # are in the context.
        earlier = call_ids(messages) | (call_ids(run_context.messages) if run_context else set())
        request = self.wrapped.request_stream(
            sendable(messages, self.wrapped, model_request_parameters),
            with_max_tokens(model_settings, self.wrapped),
            model_request_parameters,
            run_context,
        )
        async with request as response:
            events, get = response._get_event_iterator, response.get  # noqa: SLF001 - to override
            # This one object's, since a wrapper around it would have to pass all its state on.
            vars(response)["_get_event_iterator"] = lambda: sound_events(events())
            vars(response)["get"] = lambda: sound_answer(get(), earlier)
            yield response
