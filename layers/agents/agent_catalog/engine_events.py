"""From pydantic-ai's events to ours."""

from collections.abc import Iterator

from pydantic import JsonValue
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolReturnPart,
)
from pydantic_ai.run import AgentRunResultEvent
from pydantic_ai.usage import RunUsage
from pydantic_core import from_json, to_json

from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)


class EventTranslator:
    """Translates the events of one run, and knows which tools have started and not ended."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}

    def translate(self, event: AgentStreamEvent | AgentRunResultEvent) -> EngineEvent | None:
        """Give our event, or None for one that says nothing to a caller."""
        # Deltas are nearly all of a stream, so they are asked for first.
        if isinstance(event, PartDeltaEvent):
            return _continued(event)
        if isinstance(event, PartStartEvent):
            return _started(event)
        if isinstance(event, FunctionToolCallEvent):
            self._running[event.part.tool_call_id] = event.part.tool_name
            return ToolStart(
                id=event.part.tool_call_id,
                name=event.part.tool_name,
                arguments=_json(event.part.args_as_dict()),
            )
        if isinstance(event, FunctionToolResultEvent):
            self._running.pop(event.part.tool_call_id, None)
            return _returned(event.part)
        return None

    def unfinished(self) -> Iterator[ToolError]:
        """End the tools that a failed run leaves behind, so that every start has its end."""
        while self._running:
            call_id, name = self._running.popitem()
            yield ToolError(id=call_id, name=name, error="The run ended before the tool did.")


def metrics(usage: RunUsage | None, model_id: str) -> Metrics:
    """Give the figures of a run; what the provider did not report stays None."""
    if usage is None or not usage.requests:
        return Metrics(model=model_id)
    measured = not usage.unmeasured_requests
    return Metrics(
        input_tokens=usage.input_tokens if measured else None,
        output_tokens=usage.output_tokens if measured else None,
        # Zero is also what a provider that does not count them leaves there.
        reasoning_tokens=usage.output_reasoning_tokens or None,
        total_tokens=usage.total_tokens if measured else None,
        llm_calls=usage.requests,
        model=model_id,
        cost_usd=float(usage.cost) if usage.cost is not None and measured else None,
    )


def _started(event: PartStartEvent) -> EngineEvent | None:
    part = event.part
    if isinstance(part, TextPart) and part.content:
        return ContentDelta(text=part.content)
    if isinstance(part, ThinkingPart) and part.content:
        return ReasoningDelta(text=part.content)
    return None


def _continued(event: PartDeltaEvent) -> EngineEvent | None:
    delta = event.delta
    if isinstance(delta, TextPartDelta) and delta.content_delta:
        return ContentDelta(text=delta.content_delta)
    if isinstance(delta, ThinkingPartDelta) and delta.content_delta:
        return ReasoningDelta(text=delta.content_delta)
    return None


def _returned(part: ToolReturnPart) -> EngineEvent:
    if part.outcome == "success":
        return ToolEnd(id=part.tool_call_id, name=part.tool_name, result=_json(part.content))
    return ToolError(id=part.tool_call_id, name=part.tool_name, error=failure_reason(part.content))


def failure_reason(content: object) -> str:
    """Say why a call failed; arguments that do not fit come as pydantic's list of errors."""
    if not isinstance(content, list):
        return str(content)
    faults = (fault for fault in content if isinstance(fault, dict))
    return "; ".join(
        f"{'.'.join(str(step) for step in fault.get('loc', ())) or 'arguments'}: {fault.get('msg')}"
        for fault in faults
    )


def _json(value: object) -> JsonValue:
    # JSON has no NaN and no infinity; what has no form in JSON is shown as text.
    dumped = to_json(value, inf_nan_mode="strings", bytes_mode="base64", fallback=str)
    result: JsonValue = from_json(dumped)
    return result
