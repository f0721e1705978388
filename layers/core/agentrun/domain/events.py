"""What happens during a run, as a closed union of typed events."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, JsonValue, TypeAdapter

from agentrun.domain.value import Value


class EventType(StrEnum):
    """The names of the events on the wire."""

    START = "START"
    REASONING_DELTA = "REASONING_DELTA"
    CONTENT_DELTA = "CONTENT_DELTA"
    TOOL_START = "TOOL_START"
    TOOL_END = "TOOL_END"
    TOOL_ERROR = "TOOL_ERROR"
    STEP_RESET = "STEP_RESET"
    METRICS = "METRICS"
    STOP = "STOP"
    ERROR = "ERROR"
    PAUSED = "PAUSED"
    CANCELLED = "CANCELLED"


class Start(Value):
    """The run is durable; always the first event."""

    event: Literal[EventType.START] = EventType.START
    run_id: str
    session_id: str
    agent_id: str


class ReasoningDelta(Value):
    """The next fragment of the model's reasoning."""

    event: Literal[EventType.REASONING_DELTA] = EventType.REASONING_DELTA
    text: str


class ContentDelta(Value):
    """The next fragment of the answer; all fragments concatenated are the answer."""

    event: Literal[EventType.CONTENT_DELTA] = EventType.CONTENT_DELTA
    text: str


class ToolStart(Value):
    """A tool is about to run."""

    event: Literal[EventType.TOOL_START] = EventType.TOOL_START
    id: str
    name: str
    arguments: JsonValue = Field(description="Any JSON, usually an object.")


class ToolEnd(Value):
    """A tool has given its result."""

    event: Literal[EventType.TOOL_END] = EventType.TOOL_END
    id: str
    name: str
    result: JsonValue = Field(description="Any JSON, null too.")


class ToolError(Value):
    """A tool has failed; the model is told, and the run goes on."""

    event: Literal[EventType.TOOL_ERROR] = EventType.TOOL_ERROR
    id: str
    name: str
    error: str


class ResetReason(StrEnum):
    """Why a step is made again."""

    EXECUTOR_LOST = "EXECUTOR_LOST"
    HANDED_OVER = "HANDED_OVER"
    MODEL_INTERRUPTED = "MODEL_INTERRUPTED"


class StepReset(Value):
    """
    A step is made again, and what the events after one of the run's have said is void.

    That is text, reasoning and tools that had not ended; a tool that has its TOOL_END or TOOL_ERROR
    stays valid.
    """

    event: Literal[EventType.STEP_RESET] = EventType.STEP_RESET
    to_event_id: int = Field(
        ge=1,
        description="Text, reasoning and tools without an end that events with higher ids have "
        "told of are void.",
    )
    attempt: int = Field(ge=2, description="1 was the first; so 2 in a run's first reset.")
    reason: ResetReason


def _known(figure: float | None) -> float | None:
    return figure if figure is not None and isfinite(figure) else None


class Metrics(Value):
    """
    What a run has used, told once right before its end; a figure that is not known is absent.

    Neither JSON nor DynamoDB has a number for NaN or infinity: such a cost is not known.
    """

    event: Literal[EventType.METRICS] = EventType.METRICS
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    llm_calls: int | None = None
    model: str | None = None
    cost_usd: Annotated[float | None, AfterValidator(_known)] = Field(
        default=None, description="In US dollars."
    )
    duration_ms: int | None = None

    def lasting(self, duration_ms: int) -> "Metrics":
        """Return the same figures with this duration."""
        return self.model_copy(update={"duration_ms": duration_ms})

    def added_to(self, before: "Metrics") -> "Metrics":
        """Return the sums with earlier figures; one that only one side knows counts alone."""
        return Metrics(
            input_tokens=_sum(before.input_tokens, self.input_tokens),
            output_tokens=_sum(before.output_tokens, self.output_tokens),
            reasoning_tokens=_sum(before.reasoning_tokens, self.reasoning_tokens),
            total_tokens=_sum(before.total_tokens, self.total_tokens),
            llm_calls=_sum(before.llm_calls, self.llm_calls),
            model=self.model,
            cost_usd=_sum(before.cost_usd, self.cost_usd),
            duration_ms=_sum(before.duration_ms, self.duration_ms),
        )


Figure = TypeVar("Figure", int, float)


def _sum(before: Figure | None, now: Figure | None) -> Figure | None:
    if before is None or now is None:
        return now if before is None else before
    return before + now


Followups = Annotated[
    tuple[str, ...] | None, Field(description="Suggested questions, where they were asked for.")
]


class Stop(Value):
    """Ends the stream: the run is COMPLETED."""

    event: Literal[EventType.STOP] = EventType.STOP
    run_id: str
    status: Literal["COMPLETED"] = "COMPLETED"
    followups: Followups = None


class Error(Value):
    """Ends the stream: the run is FAILED; the text says why and is safe to show."""

    event: Literal[EventType.ERROR] = EventType.ERROR
    message: str


class PauseType(StrEnum):
    """What a paused run waits for."""

    TOOL_APPROVAL = "TOOL_APPROVAL"
    TOOL_IN_DOUBT = "TOOL_IN_DOUBT"
    BUDGET = "BUDGET"


class PendingApproval(Value):
    """One tool call that waits for a human's decision."""

    id: str
    tool: str
    tool_name: str
    arguments: JsonValue


class Paused(Value):
    """Ends the stream: the run waits for decisions, of no calls where its budget is spent."""

    event: Literal[EventType.PAUSED] = EventType.PAUSED
    type: PauseType = PauseType.TOOL_APPROVAL
    approval_id: str
    approvals: tuple[PendingApproval, ...] = ()


class Cancelled(Value):
    """Ends the stream: the run is CANCELLED; the text says why."""

    event: Literal[EventType.CANCELLED] = EventType.CANCELLED
    reason: str


EngineEvent = ReasoningDelta | ContentDelta | ToolStart | ToolEnd | ToolError | Metrics
"""What an engine yields; everything else is said by the executor."""

TerminalEvent = Stop | Error | Paused | Cancelled
"""Exactly one of these ends a stream."""

RunEvent = Annotated[
    Start
    | ReasoningDelta
    | ContentDelta
    | ToolStart
    | ToolEnd
    | ToolError
    | StepReset
    | Metrics
    | Stop
    | Error
    | Paused
    | Cancelled,
    Field(discriminator="event"),
]


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """
    An event with its place in the run: ids count from 1 without gaps.

    Not a model: one is made for each event of a stream, and a model costs eight times as much.
    """

    id: int
    timestamp_ms: int
    event: RunEvent


RECORDED_EVENTS: TypeAdapter[tuple[RecordedEvent, ...]] = TypeAdapter(tuple[RecordedEvent, ...])
"""Dumps and loads a segment of the log as JSON."""
