"""From pydantic-ai to our events: deltas where the model says them, tools, and figures."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    ThinkingPart,
    ToolReturnPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from agent_catalog.json_form import HalfCharacters, to_json_value
from agent_catalog.models.guarded import sound_answer
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)

# A stream that never has to wait would keep all other runs waiting.
_EVENTS_IN_A_ROW = 32
_Delta = type[ContentDelta | ReasoningDelta]
_SAID_BY: dict[type[ModelResponsePart], _Delta] = {
    TextPart: ContentDelta,
    ThinkingPart: ReasoningDelta,
}


class DeltaTranslator:
    """
    Translates the events of one streamed answer, and says each fragment as it comes.

    Half a character waits for its other half.
    """

    def __init__(self, say: Callable[[EngineEvent], None]) -> None:
        self._say = say
        self._texts: dict[int, tuple[_Delta, HalfCharacters]] = {}

    def take(self, event: ModelResponseStreamEvent) -> None:
        """Say what the event adds to the answer's text or to its reasoning."""
        # First, because nearly all events are deltas.
        if isinstance(event, PartDeltaEvent):
            text = self._texts.get(event.index)
            if text is not None:
                delta: Any = event.delta
                self._say_text(text[0], text[1].take(delta.content_delta or ""))
        elif isinstance(event, PartStartEvent):
            self.end()
            kind = _SAID_BY.get(type(event.part))
            if kind is not None:
                _, half = self._texts[event.index] = (kind, HalfCharacters())
                part: Any = event.part
                self._say_text(kind, half.take(part.content))

    def end(self) -> None:
        """Say what still waits for its other half, which will not come any more."""
        for kind, half in self._texts.values():
            self._say_text(kind, half.rest())

    def _say_text(self, kind: _Delta, text: str) -> None:
        if text:
            self._say(kind(text=text))


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
            limits: The run's limits; those of tokens are checked every 32 events of an answer, too.
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


class ToolTranslator:
    """
    Translates the tool events of one run, and keeps track of the tools that are running.

    A call that needs an approval starts only if it is among `approved`: the library also announces
    such calls when they wait, are rejected or do not fit.
    """

    def __init__(
        self, *, needing_approval: Collection[str] = (), approved: Collection[str] = ()
    ) -> None:
        self._needing_approval = needing_approval
        self._approved = approved
        self._running: dict[str, str] = {}

    def translate(self, event: AgentStreamEvent) -> EngineEvent | None:
        """Return our event, or None if a caller has no use for it."""
        if isinstance(event, FunctionToolCallEvent):
            return self._called(event)
        if isinstance(event, FunctionToolResultEvent):
            self._running.pop(event.part.tool_call_id, None)
            return _returned(event.part)
        return None

    def unfinished(self) -> Iterator[ToolError]:
        """End the tools that a failed run leaves running, so that every start has an end."""
        while self._running:
            call_id, name = self._running.popitem()
            yield ToolError(id=call_id, name=name, error="The run ended before the tool did.")

    def _called(self, event: FunctionToolCallEvent) -> ToolStart | None:
        call_id, name = event.part.tool_call_id, event.part.tool_name
        if name in self._needing_approval and call_id not in self._approved:
            return None
        self._running[call_id] = name
        arguments = to_json_value(event.part.args_as_dict())
        return ToolStart(id=call_id, name=name, arguments=arguments)


def _returned(part: ToolReturnPart) -> EngineEvent:
    call_id, name = part.tool_call_id, part.tool_name
    if part.outcome == "success":
        return ToolEnd(id=call_id, name=name, result=to_json_value(part.content))
    return ToolError(id=call_id, name=name, error=failure_reason(part.content))


def failure_reason(content: object) -> str:
    """Return why a call failed; for arguments that do not fit, `content` is pydantic's errors."""
    if not isinstance(content, list):
        return str(content)
    faults = (fault for fault in content if isinstance(fault, dict))
    return "; ".join(
        f"{'.'.join(str(step) for step in fault.get('loc', ())) or 'arguments'}: {fault.get('msg')}"
        for fault in faults
    )


def metrics(usage: RunUsage, model_id: str) -> Metrics:
    """Return a run's figures; what the provider did not report is None."""
    if not usage.requests:
        return Metrics(model=model_id)
    measured = not usage.unmeasured_requests
    return Metrics(
        input_tokens=usage.input_tokens if measured else None,
        output_tokens=usage.output_tokens if measured else None,
        # 0 may also mean that the provider does not count them.
        reasoning_tokens=usage.output_reasoning_tokens or None,
        total_tokens=usage.total_tokens if measured else None,
        llm_calls=usage.requests,
        model=model_id,
        cost_usd=float(usage.cost) if usage.cost is not None and measured else None,
    )
