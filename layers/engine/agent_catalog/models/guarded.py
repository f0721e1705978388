"""
What stands between pydantic-ai and a provider's model, in both directions.

`CheckedModel` is around every model: it makes requests legal and unstreamed answers sound.
`GuardedModel` is around a provider's model: it limits its silence and detects broken answers.
"""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, cast

import anyio
from anyio.to_thread import current_default_thread_limiter
from pydantic_ai import RunContext
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelConnectionError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.profiles.anthropic import ANTHROPIC_THINKING_BUDGET_MAP, AnthropicModelProfile
from pydantic_ai.settings import ModelSettings, ThinkingLevel
from pydantic_ai.usage import RequestUsage

from agent_catalog.agent_file import DEFAULT_MAX_TOKENS
from agent_catalog.json_form import whole_json_text, whole_text, whole_value
from agent_catalog.models.bedrock import given_up_on_failure
from agent_catalog.models.sendable import (
    MAX_CALL_ID,
    call_ids,
    free_id,
    sendable,
    shortened_id,
)
from agent_catalog.models.silence import SilenceWatch

# boto3 blocks a thread for each run that waits for its model. With anyio's default of 40, which
# tools share, 40 stalled runs would hold up all others.
_THREADS = 128

_Events = AsyncIterator[ModelResponseStreamEvent]


class OutputLimitError(UnexpectedModelBehavior):
    """The model ran out of tokens before it had said anything useful."""


class GuardedModel(WrapperModel):
    """
    Wraps a model: limits its silence, and turns broken answers into errors.

    Each event of a stream has to arrive within `idle_timeout_s` of the one before, the first within
    that time of the request, retries included. Nothing is retried once a stream is open: the client
    has already seen its beginning.

    Raises, besides what the model raises:
        ModelTimeoutError: The model was silent for too long; its connection is closed.
        ModelConnectionError: The stream ended before the answer did.
        ContentFilterError: A guardrail or a filter stopped the answer.
        OutputLimitError: The model ran out of tokens while thinking or calling a tool. An answer
            whose text is cut short is accepted.
        UnexpectedModelBehavior: The provider reports a malformed answer.
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
        """Request an unstreamed answer, which has to arrive within the idle time-out."""
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
        """Request a streamed answer."""
        _allow_threads()
        async with AsyncExitStack() as stack:
            request = self.wrapped.request_stream(
                messages, model_settings, model_request_parameters, run_context
            )
            with self._impatient(), given_up_on_failure():
                response = await stack.enter_async_context(request)
            _count_running_totals_once(response)
            events = response._get_event_iterator  # noqa: SLF001 - the method to override
            # Set on this one object, since a wrapper would have to pass on all of its state.
            vars(response)["_get_event_iterator"] = lambda: self._guarded(response, events())
            yield response

    async def _guarded(
        self, response: StreamedResponse, events: AsyncIterator[ModelResponseStreamEvent]
    ) -> AsyncIterator[ModelResponseStreamEvent]:
        watch = SilenceWatch(self._idle_timeout_s, self._silent)
        try:
            while True:
                # Not around the `yield`: the time that the reader takes does not count.
                with watch:
                    event = await anext(events, None)
                if event is None:
                    break
                yield event
            if not response.cancelled:
                self._check(response.get())
        except Exception:
            # The usage comes last: if the answer broke off, it is unknown rather than 0.
            if not response.usage.has_values():
                vars(response)["_usage"] = RequestUsage(unmeasured_requests=1)
            raise
        finally:
            watch.close()

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        with anyio.move_on_after(self._idle_timeout_s) as scope:
            yield
        if scope.cancelled_caught:
            raise self._silent()

    def _silent(self) -> ModelTimeoutError:
        return ModelTimeoutError(self.model_name, f"silent for {self._idle_timeout_s} s")

    def _check(self, response: ModelResponse) -> None:
        reason, details = response.finish_reason, response.provider_details or {}
        if reason == "content_filter":
            raise ContentFilterError(str(details.get("finish_reason")))
        if reason == "error":
            raise UnexpectedModelBehavior(str(details.get("finish_reason")))
        if reason == "length" and not _ends_in_text(response):
            raise OutputLimitError("out of tokens")
        # A reason that pydantic-ai does not know is still a reason.
        if reason is None and "finish_reason" not in details:
            raise ModelConnectionError(self.model_name, "the stream ended before the answer")


def _count_running_totals_once(response: StreamedResponse) -> None:
    """
    Let the last usage that a stream of chat completions reports be the answer's.

    Some servers report it with every chunk, as a running total: vLLM on request
    (`continuous_usage_stats`), others unasked. pydantic-ai 2.66.0 adds these up unless its setting
    `openai_continuous_usage_stats` is set, which also asks the server for them.
    """
    # Not imported: the package is an extra that no other model needs.
    openai = sys.modules.get("pydantic_ai.models.openai")
    if openai is None or not isinstance(response, openai.OpenAIStreamedResponse):
        return
    add = response._add_usage  # noqa: SLF001 - the method to override

    def replace_usage(usage: RequestUsage, *, reported: bool, **_: bool) -> None:
        add(usage, reported=reported, cumulative=reported)

    vars(response)["_add_usage"] = replace_usage


def _allow_threads() -> None:
    limiter = current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, _THREADS)


def _ends_in_text(response: ModelResponse) -> bool:
    last = response.parts[-1] if response.parts else None
    return isinstance(last, TextPart) and bool(last.content)


class CheckedModel(WrapperModel):
    """
    Wraps a model: makes what it is sent legal, and what it answers sound.

    Every request passes through here: the next step of a run, the next turn of a conversation
    (whichever version stored it), and what follows a pause. The messages that pydantic-ai keeps,
    stores and shows stay as they are.
    """

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Request an unstreamed answer."""
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
        """Request a streamed answer; its reader has to make it sound."""
        async with self.wrapped.request_stream(
            sendable(messages, self.wrapped, model_request_parameters),
            with_max_tokens(model_settings, self.wrapped),
            model_request_parameters,
            run_context,
        ) as response:
            yield response


def sound_answer(answer: ModelResponse, earlier_ids: Collection[str]) -> ModelResponse:
    """
    Return an answer with whole characters, and with call ids that tell its calls apart.

    It can be written as UTF-8, and clients can match its calls by their ids. The first call with an
    id keeps it; `free_id` renames the others.

    Args:
        answer: The model's answer.
        earlier_ids: The ids of all calls before this answer.
    """
    taken = set(earlier_ids)
    return replace(answer, parts=[_sound_part(part, taken) for part in answer.parts])


def _sound_part(part: ModelResponsePart, taken: set[str]) -> ModelResponsePart:
    if isinstance(part, TextPart | ThinkingPart):
        content = whole_text(part.content)
        return part if content == part.content else replace(part, content=content)
    if not isinstance(part, ToolCallPart):
        return part
    call_id = whole_text(part.tool_call_id) or "call"
    if len(call_id) > MAX_CALL_ID:
        call_id = shortened_id(call_id, longest=MAX_CALL_ID)
    call_id = free_id(call_id, taken, longest=MAX_CALL_ID)
    taken.add(call_id)
    args = part.args
    # Any, because pydantic-ai's special calls narrow the type of their arguments.
    changes: dict[str, Any] = {
        "tool_name": whole_text(part.tool_name),
        "args": whole_json_text(args) if isinstance(args, str) else args and whole_value(args),
        "tool_call_id": call_id,
    }
    return replace(part, **changes)


def with_max_tokens(settings: ModelSettings | None, model: Model) -> ModelSettings | None:
    """
    Return a request's settings, with a `max_tokens` if it has none and the model is a Claude model.

    pydantic-ai asks Claude models for their maximum, 64 000 or 128 000 tokens, and Bedrock deducts
    what is asked for from the quota when the call starts ("How tokens are counted in Amazon
    Bedrock", user guide). Other models keep their own default: some refuse more than 2 048. The
    thinking budget is added, since Claude refuses a `max_tokens` that does not exceed it.
    """
    given = ModelSettings() if settings is None else settings.copy()
    most = cast("AnthropicModelProfile", model.profile).get("anthropic_max_output_tokens")
    if given.get("max_tokens") or most is None:
        return settings
    given["max_tokens"] = min(most, DEFAULT_MAX_TOKENS + _thinking_tokens(given))
    return given


def _thinking_tokens(settings: ModelSettings) -> int:
    """Return the thinking budget that is asked for, explicitly or by its effort."""
    level: ThinkingLevel | None = settings.get("thinking")
    fields = cast("Mapping[str, Any]", settings).get("bedrock_additional_model_requests_fields")
    if isinstance(fields, Mapping) and isinstance(asked := fields.get("thinking"), Mapping):
        # In pydantic-ai, these win over `thinking`.
        if isinstance(budget := asked.get("budget_tokens"), int):
            return budget
        effort = (fields.get("output_config") or {}).get("effort")
        level = False if asked.get("type") == "disabled" else effort or level or True
    return ANTHROPIC_THINKING_BUDGET_MAP.get(level, 0) if level else 0
