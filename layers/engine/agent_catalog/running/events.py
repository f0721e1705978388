"""From pydantic-ai's events to ours."""

from collections.abc import Collection, Iterator

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

from agent_catalog.json_form import to_json_value
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)


class EventTranslator:
    """
    Translates the events of one run, and keeps track of the tools that are running.

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
        # First, because nearly all events are deltas.
        if isinstance(event, PartDeltaEvent):
            return _continued(event)
        if isinstance(event, PartStartEvent):
            return _started(event)
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
