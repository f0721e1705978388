"""
A run's events as Server-Sent Events.

Source of the format: "Server-sent events" in the HTML standard. Only this module knows that the
wire's `data` is a string.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal, NotRequired, assert_never

from pydantic import Field, JsonValue
from pydantic_core import to_json
from typing_extensions import TypedDict

from agentrun.domain.events import (
    Cancelled,
    ContentDelta,
    Error,
    Metrics,
    Paused,
    PendingApproval,
    ReasoningDelta,
    RecordedEvent,
    RunEvent,
    Start,
    StepReset,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)

# Neither ends in a blank line: some readers take a block without data for a message.
RETRY = b"retry: 1000\n"
PING = b": ping\n"

MEDIA_TYPE = "text/event-stream; charset=utf-8"

_UNTOLD = "The end of the run cannot be shown here; ask for its status."

log = logging.getLogger(__name__)

# JSON allows these characters raw, but readers that split lines as Unicode does break on them.
_LINE_SEPARATORS = {
    "\u0085".encode(): b"\\u0085",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}


def encode_frame(recorded: RecordedEvent) -> bytes:
    """Write one event: an `id:` line, a `data:` line with JSON, a blank line."""
    event = recorded.event
    # Only `data` needs escaping.
    data = to_json(wire_data(event))
    if not data.isascii():
        for raw, escaped in _LINE_SEPARATORS.items():
            data = data.replace(raw, escaped)
    return b'id: %d\ndata: {"event":"%b","data":%b,"timestamp":%d}\n\n' % (
        recorded.id,
        event.event.encode(),
        data,
        recorded.timestamp_ms,
    )


def wire_data(event: RunEvent) -> str:
    """Return an event's `data`: plain text, or an object as JSON."""
    match event:
        case ReasoningDelta() | ContentDelta():
            return event.text
        case Start() | ToolStart() | ToolEnd() | ToolError() | StepReset() | Metrics() | Stop():
            return event.model_dump_json(exclude={"event"}, exclude_none=_omits_none(event))
        case Error():
            return event.message
        case Cancelled():
            return event.reason
        case Paused():
            return to_json(paused_object(event)).decode()
        case _:
            assert_never(event)


def _omits_none(event: RunEvent) -> bool:
    # A tool's result may be null, and null is not absent.
    return isinstance(event, Metrics | Stop)


class PendingCall(TypedDict):
    """A tool call that waits for a decision."""

    id: str
    tool: str
    toolName: str
    arguments: JsonValue


class RequiredAction(TypedDict):
    """
    What a PAUSED run waits for; the last three fields repeat the first of `approvals`.

    Where its budget is spent there are no calls that wait, and so none of the three.
    """

    type: Literal["TOOL_APPROVAL", "TOOL_IN_DOUBT", "BUDGET"]
    approvalId: str
    approvals: list[PendingCall]
    tool: NotRequired[str]
    toolName: NotRequired[str]
    arguments: NotRequired[Annotated[JsonValue, Field(description="Any JSON, usually an object.")]]


def pending_call(call: PendingApproval) -> PendingCall:
    """Return a call that waits for a decision as the API shows it."""
    return {
        "id": call.id,
        "tool": call.tool,
        "toolName": call.tool_name,
        "arguments": call.arguments,
    }


def paused_object(event: Paused) -> RequiredAction:
    """Return a pause as the API shows it."""
    approvals = [pending_call(call) for call in event.approvals]
    action: RequiredAction = {
        "type": event.type.value,
        "approvalId": event.approval_id,
        "approvals": approvals,
    }
    if approvals:
        first = approvals[0]
        action["tool"], action["toolName"] = first["tool"], first["toolName"]
        action["arguments"] = first["arguments"]
    return action


async def encode_stream(
    batches: AsyncIterator[Sequence[RecordedEvent]],
    *,
    on_failure: Callable[[], None] = lambda: None,
) -> AsyncGenerator[bytes, None]:
    """
    Write batches of events as they come; an empty batch is a ping.

    Every blank line ends a block that has data: httpx-sse and @microsoft/fetch-event-source pass
    any other block on as an empty message, against the HTML standard.

    An event that cannot be written is left out after a call to `on_failure`. A terminal one becomes
    an ERROR, since readers come again when a stream ends without one.
    """
    opening = RETRY
    async for batch in batches:
        frames = b"".join(_frame(recorded, on_failure) for recorded in batch)
        if not frames:
            yield PING
            continue
        yield opening + frames
        opening = b""


def _frame(recorded: RecordedEvent, on_failure: Callable[[], None]) -> bytes:
    try:
        return encode_frame(recorded)
    except Exception:
        event = recorded.event
        extra = {"eventId": recorded.id, "event": event.event}
        log.exception("an event cannot be written for its reader", extra=extra)
        on_failure()
    if isinstance(event, Stop | Error | Paused | Cancelled):
        return encode_frame(replace(recorded, event=Error(message=_UNTOLD)))
    return b""
