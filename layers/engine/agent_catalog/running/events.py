"""From pydantic-ai to our events: deltas where the model says them, tools, and figures."""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    ThinkingPart,
    ToolReturnPart,
)
from pydantic_ai.usage import RunUsage

from agent_catalog.json_form import HalfCharacters, to_json_value
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)

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


class ToolTranslator:
    """
    Translates the tool events of one run, and keeps track of the tools that are running.

    A call that needs an approval starts only if it is among `approved`: the library also announces
    such calls when they wait, are rejected or do not fit. A call among `settled` does not start
    either, since what came of it is known; one among `started` was told as started before.
    """

    def __init__(
        self,
        *,
        needing_approval: Collection[str] = (),
        approved: Collection[str] = (),
        settled: Collection[str] = (),
        started: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._needing_approval = needing_approval
        self._approved = approved
        self._settled = settled
        self._running = dict(started)

    def translate(self, event: AgentStreamEvent) -> EngineEvent | None:
        """Return our event, or None if a caller has no use for it."""
        if isinstance(event, FunctionToolCallEvent):
            return self._called(event)
        if isinstance(event, FunctionToolResultEvent):
            return _returned(event.part)
        return None

    def ended(self, call_id: str) -> None:
        """Note that a tool's end has been told."""
        self._running.pop(call_id, None)

    def unfinished(self) -> Iterator[ToolError]:
        """End the tools that a failed run leaves running, so that every start has an end."""
        while self._running:
            call_id, name = self._running.popitem()
            yield ToolError(id=call_id, name=name, error="The run ended before the tool did.")

    def _called(self, event: FunctionToolCallEvent) -> ToolStart | None:
        call_id, name = event.part.tool_call_id, event.part.tool_name
        if call_id in self._settled or call_id in self._running:
            return None
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
