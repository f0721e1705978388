"""
Decode what a stream says into typed events.

Nothing here raises for an event of a newer server: what is not known comes as `UnknownEvent`, and
fields that are missing get empty values, so that an odd event cannot end a caller's loop.
"""

import json
from collections.abc import Callable
from typing import Any, cast

from agentrun_client.events import (
    Cancelled,
    ContentDelta,
    Failed,
    Metrics,
    Paused,
    ReasoningDelta,
    RunEvent,
    Start,
    StepReset,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
    UnknownEvent,
)
from agentrun_client.models.actions import RequiredAction
from agentrun_client.models.runs import Figures
from agentrun_client.wire.reading import UnreadableError, read_as

_loads = json.JSONDecoder().decode


def decode_event(event_id: int, data: str) -> RunEvent:
    """
    Decode the data of one frame.

    Raises:
        UnreadableError: It is no AgentStreamEvent, as if something had cut into it.
    """
    try:
        frame = _loads(data)
        name, said, timestamp = frame["event"], frame["data"], frame.get("timestamp", 0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableError("the frame is no event") from error
    if type(name) is not str or type(said) is not str:
        raise UnreadableError("the frame is no event")
    decode = _DECODERS.get(name)
    if decode is None:
        return UnknownEvent(event_id, timestamp, name, said)
    return decode(event_id, timestamp, said)


def _object(said: str) -> dict[str, Any]:
    try:
        found = _loads(said)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _start(event_id: int, timestamp: int, said: str) -> Start:
    told = _object(said)
    return Start(
        event_id,
        timestamp,
        run_id=str(told.get("runId", "")),
        session_id=str(told.get("sessionId", "")),
        agent_id=str(told.get("agentId", "")),
    )


def _tool_start(event_id: int, timestamp: int, said: str) -> ToolStart:
    told = _object(said)
    call_id, name = str(told.get("id", "")), str(told.get("name", ""))
    return ToolStart(event_id, timestamp, call_id, name, told.get("arguments"))


def _tool_end(event_id: int, timestamp: int, said: str) -> ToolEnd:
    told = _object(said)
    call_id, name = str(told.get("id", "")), str(told.get("name", ""))
    return ToolEnd(event_id, timestamp, call_id, name, told.get("result"))


def _tool_error(event_id: int, timestamp: int, said: str) -> ToolError:
    told = _object(said)
    call_id, name = str(told.get("id", "")), str(told.get("name", ""))
    return ToolError(event_id, timestamp, call_id, name, str(told.get("error", "")))


def _step_reset(event_id: int, timestamp: int, said: str) -> RunEvent:
    told = _object(said)
    to_event_id, attempt = told.get("toEventId"), told.get("attempt", 2)
    if type(to_event_id) is not int or type(attempt) is not int:
        # Guessing would take back what is valid.
        raise UnreadableError("a STEP_RESET does not say what is void")
    return StepReset(event_id, timestamp, to_event_id, attempt, told.get("reason", ""))


def _metrics(event_id: int, timestamp: int, said: str) -> Metrics:
    try:
        told = read_as(Figures, _object(said))
    except UnreadableError:
        told = Figures()
    return Metrics(
        event_id,
        timestamp,
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        reasoning_tokens=told.reasoning_tokens,
        total_tokens=told.total_tokens,
        llm_calls=told.llm_calls,
        model=told.model,
        cost_usd=told.cost_usd,
        duration_ms=told.duration_ms,
    )


def _stop(event_id: int, timestamp: int, said: str) -> Stop:
    told = _object(said)
    followups = told.get("followups")
    suggested = None
    if isinstance(followups, list):
        suggested = tuple(map(str, cast("list[object]", followups)))
    return Stop(event_id, timestamp, str(told.get("runId", "")), suggested)


def _paused(event_id: int, timestamp: int, said: str) -> Paused:
    told = _object(said)
    try:
        action = read_as(RequiredAction, told)
    except UnreadableError:
        action = RequiredAction(told.get("type", ""), str(told.get("approvalId", "")))
    return Paused(event_id, timestamp, action)


_DECODERS: dict[str, Callable[[int, int, str], RunEvent]] = {
    "CONTENT_DELTA": ContentDelta,
    "REASONING_DELTA": ReasoningDelta,
    "START": _start,
    "TOOL_START": _tool_start,
    "TOOL_END": _tool_end,
    "TOOL_ERROR": _tool_error,
    "STEP_RESET": _step_reset,
    "METRICS": _metrics,
    "STOP": _stop,
    "ERROR": Failed,
    "PAUSED": _paused,
    "CANCELLED": Cancelled,
}
