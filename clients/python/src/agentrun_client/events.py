"""
What happens during a run, as a closed union of frozen events.

Every event has its `id`, an integer that ascends within the run, and its `timestamp`, milliseconds
since the Unix epoch. `event` is its name on the wire. An event that this version does not know
comes as `UnknownEvent`; ignore it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from agentrun_client.models.actions import RequiredAction
from agentrun_client.models.json_value import JsonValue

ResetReason: TypeAlias = Literal["EXECUTOR_LOST", "HANDED_OVER", "MODEL_INTERRUPTED"]


@dataclass(frozen=True, slots=True)
class Start:
    """The run is durable and can be cancelled; again when it goes on after a pause or a loss."""

    event: ClassVar[Literal["START"]] = "START"
    id: int
    timestamp: int
    run_id: str
    session_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next fragment of the model's reasoning."""

    event: ClassVar[Literal["REASONING_DELTA"]] = "REASONING_DELTA"
    id: int
    timestamp: int
    text: str


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """The next fragment of the answer."""

    event: ClassVar[Literal["CONTENT_DELTA"]] = "CONTENT_DELTA"
    id: int
    timestamp: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A tool is about to run; `call_id` is unique within the run."""

    event: ClassVar[Literal["TOOL_START"]] = "TOOL_START"
    id: int
    timestamp: int
    call_id: str
    name: str
    arguments: JsonValue


@dataclass(frozen=True, slots=True)
class ToolEnd:
    """A tool has given its result, any JSON."""

    event: ClassVar[Literal["TOOL_END"]] = "TOOL_END"
    id: int
    timestamp: int
    call_id: str
    name: str
    result: JsonValue


@dataclass(frozen=True, slots=True)
class ToolError:
    """A tool has failed or was rejected; the model is told, and the run goes on."""

    event: ClassVar[Literal["TOOL_ERROR"]] = "TOOL_ERROR"
    id: int
    timestamp: int
    call_id: str
    name: str
    error: str


@dataclass(frozen=True, slots=True)
class StepReset:
    """
    A step is made again: void is what events with ids above `to_event_id` have said.

    That is text, reasoning and tools that had not ended. `text_so_far` of the stream has it left
    out already.
    """

    event: ClassVar[Literal["STEP_RESET"]] = "STEP_RESET"
    id: int
    timestamp: int
    to_event_id: int
    attempt: int
    reason: ResetReason


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the run has used, right before its end; a figure that is not known is None."""

    event: ClassVar[Literal["METRICS"]] = "METRICS"
    id: int
    timestamp: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    llm_calls: int | None = None
    model: str | None = None
    cost_usd: float | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The run is COMPLETED; `followups` is None unless they were asked for."""

    event: ClassVar[Literal["STOP"]] = "STOP"
    id: int
    timestamp: int
    run_id: str
    followups: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The run is FAILED; the message says why and is safe to show."""

    event: ClassVar[Literal["ERROR"]] = "ERROR"
    id: int
    timestamp: int
    message: str


@dataclass(frozen=True, slots=True)
class Paused:
    """The run waits for a decision; more follows only if it is decided."""

    event: ClassVar[Literal["PAUSED"]] = "PAUSED"
    id: int
    timestamp: int
    required_action: RequiredAction


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run is CANCELLED."""

    event: ClassVar[Literal["CANCELLED"]] = "CANCELLED"
    id: int
    timestamp: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event that this version of the client does not know."""

    id: int
    timestamp: int
    event: str
    data: str


RunEvent: TypeAlias = (
    Start
    | ReasoningDelta
    | ContentDelta
    | ToolStart
    | ToolEnd
    | ToolError
    | StepReset
    | Metrics
    | Stop
    | Failed
    | Paused
    | Cancelled
    | UnknownEvent
)
TerminalEvent: TypeAlias = Stop | Failed | Paused | Cancelled
"""One of these ends a stream."""
