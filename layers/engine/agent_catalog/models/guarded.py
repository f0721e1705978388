"""A model that is not waited for without end, and whose broken answers are failures."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.to_thread import current_default_thread_limiter
from pydantic_ai import RunContext
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelConnectionError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent, TextPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from agent_catalog.models.bedrock import given_up_on_failure

# boto3 blocks a thread for each run that waits for its model. With anyio's 40, which tools share,
# 40 stalled runs would hold up all others.
_THREADS = 128


class OutputLimitError(UnexpectedModelBehavior):
    """The model used up its tokens before it had said anything that is of use."""


class GuardedModel(WrapperModel):
    """
    Wraps a model: limits its silence, and turns answers that are none into errors.

    An event of the stream has to come within `idle_timeout_s` of the one before, the first one
    within as much of the request, its retries included. Nothing is retried here, nor by pydantic-ai
    once a stream is open: what has been said is never said again.

    Raises, besides what the model raises:
        ModelTimeoutError: It was silent for too long; its connection is closed.
        ModelConnectionError: The stream ended, but the answer did not.
        ContentFilterError: A guardrail or a filter has stopped the answer.
        OutputLimitError: It ran out of tokens while it was thinking or calling a tool. An answer
            that was cut short in its text is taken as it is.
        UnexpectedModelBehavior: The provider says that the answer is malformed.
    """

    def __init__(self, wrapped: Model, *, idle_timeout_s: float) -> None:
        super().__init__(wrapped)
        self._idle_timeout_s = idle_timeout_s

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for an answer that comes at once, within the time that a silence may last."""
        _allow_threads()
        with self._impatient(), given_up_on_failure():
            response = await self.wrapped.request(
                messages, model_settings, model_request_parameters
            )
        self._check(response)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Ask for an answer that is streamed."""
        _allow_threads()
        async with AsyncExitStack() as stack:
            request = self.wrapped.request_stream(
                messages, model_settings, model_request_parameters, run_context
            )
            with self._impatient(), given_up_on_failure():
                response = await stack.enter_async_context(request)
            events = response._get_event_iterator  # noqa: SLF001 - for subclasses to override
            # This one object's, since a wrapper around it would have to pass all its state on.
            vars(response)["_get_event_iterator"] = lambda: self._guarded(response, events())
            yield response

    async def _guarded(
        self, response: StreamedResponse, events: AsyncIterator[ModelResponseStreamEvent]
    ) -> AsyncIterator[ModelResponseStreamEvent]:
        try:
            while True:
                # Not around the `yield`: how long the reader takes is not the model's fault.
                with self._impatient():
                    event = await anext(events, None)
                if event is None:
                    break
                yield event
            if not response.cancelled:
                self._check(response.get())
        except Exception:
            # The usage comes last: of an answer that broke off it is not 0 but unknown.
            if not response.usage.has_values():
                vars(response)["_usage"] = RequestUsage(unmeasured_requests=1)
            raise

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        with anyio.move_on_after(self._idle_timeout_s) as scope:
            yield
        if scope.cancelled_caught:
            raise ModelTimeoutError(self.model_name, f"silent for {self._idle_timeout_s} s")

    def _check(self, response: ModelResponse) -> None:
        reason, details = response.finish_reason, response.provider_details or {}
        if reason == "content_filter":
            raise ContentFilterError(str(details.get("finish_reason")))
        if reason == "error":
            raise UnexpectedModelBehavior(str(details.get("finish_reason")))
        if reason == "length" and not _ends_in_text(response):
            raise OutputLimitError("out of tokens")
        # A reason that pydantic-ai does not know is a reason still.
        if reason is None and "finish_reason" not in details:
            raise ModelConnectionError(self.model_name, "the stream ended before the answer")


def _allow_threads() -> None:
    limiter = current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, _THREADS)


def _ends_in_text(response: ModelResponse) -> bool:
    last = response.parts[-1] if response.parts else None
    return isinstance(last, TextPart) and bool(last.content)
