"""Fold a run's events into one answer, for callers who do not stream."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, assert_never

from pydantic import Field, JsonValue

from agentrun.domain.errors import RunFailedError, RunGoesOnError
from agentrun.domain.events import (
    Cancelled,
    ContentDelta,
    Error,
    EventType,
    Followups,
    Metrics,
    Paused,
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
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.value import Value


class RunStream(Protocol):
    """A run and its events, live from its execution or read from its log."""

    @property
    def run(self) -> AgentRun:
        """The run as it was when the stream began."""
        ...

    def batches(self, *, idle_s: float) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Yield the events as they come; an empty batch after `idle_s` of silence."""
        ...


class ToolCall(Value):
    """A tool call and what came of it."""

    id: str
    tool_name: str
    tool_input: JsonValue
    tool_output: JsonValue = Field(
        default=None, description="Any JSON; the error's text if `isError`."
    )
    is_error: bool = False


class RunResult(Value):
    """What one run gave."""

    run_id: str
    session_id: str = Field(description="The conversation.")
    agent_id: str = Field(description="The agent.")
    content: str = Field(description="The answer.")
    status: RunStatus
    tools: tuple[ToolCall, ...]
    reasoning_steps: tuple[str, ...] = Field(
        description="The stretches of reasoning that nothing interrupted."
    )
    followups: Followups = None
    metrics: Metrics | None = None
    required_action: Paused | None = Field(default=None, description="What a PAUSED run waits for.")


@dataclass
class _Fragment:
    """A fragment of the answer, or what was said of the reasoning without interruption."""

    event_id: int
    text: str


class RunResultBuilder:
    """Builds a run's result from its events, in order; what a STEP_RESET voids is left out."""

    def __init__(self) -> None:
        self._start: Start | None = None
        self._end: Stop | Error | Paused | Cancelled | None = None
        self._content: list[_Fragment] = []
        self._reasoning: list[list[_Fragment]] = []
        self._tools: dict[str, ToolCall] = {}
        self._unfinished: dict[str, int] = {}
        self._metrics: Metrics | None = None
        self._last_type: EventType | None = None

    @property
    def content(self) -> str:
        """The answer so far."""
        return "".join(fragment.text for fragment in self._content)

    @property
    def unfinished(self) -> frozenset[str]:
        """The ids of the tools that have started and not ended."""
        return frozenset(self._unfinished)

    def add(self, recorded: RecordedEvent) -> None:
        """Take the next event."""
        self._take(recorded.id, recorded.event)
        self._last_type = recorded.event.event

    def _take(self, event_id: int, event: RunEvent) -> None:
        match event:
            case Start():
                self._start = event
            case ContentDelta():
                self._content.append(_Fragment(event_id, event.text))
            case ReasoningDelta():
                if self._last_type is not EventType.REASONING_DELTA:
                    self._reasoning.append([])
                self._reasoning[-1].append(_Fragment(event_id, event.text))
            case ToolStart():
                call = ToolCall(id=event.id, tool_name=event.name, tool_input=event.arguments)
                self._tools[event.id] = call
                self._unfinished[event.id] = event_id
            case ToolEnd() | ToolError():
                self._end_tool(event)
            case StepReset():
                self._void(event.to_event_id)
            case Metrics():
                self._metrics = event
            case Stop() | Error() | Paused() | Cancelled():
                self._end = event
            case _:
                assert_never(event)

    def _void(self, after: int) -> None:
        self._content = [kept for kept in self._content if kept.event_id <= after]
        stretches = (
            [kept for kept in stretch if kept.event_id <= after] for stretch in self._reasoning
        )
        self._reasoning = [stretch for stretch in stretches if stretch]
        for call_id, event_id in list(self._unfinished.items()):
            if event_id > after:
                del self._unfinished[call_id], self._tools[call_id]

    def _end_tool(self, event: ToolEnd | ToolError) -> None:
        self._unfinished.pop(event.id, None)
        began = self._tools.get(event.id)
        self._tools[event.id] = ToolCall(
            id=event.id,
            tool_name=began.tool_name if began else event.name,
            tool_input=began.tool_input if began else None,
            tool_output=event.error if isinstance(event, ToolError) else event.result,
            is_error=isinstance(event, ToolError),
        )

    def result(self) -> RunResult:
        """
        Return the result of a run whose events have all been taken.

        Raises:
            RunFailedError: The run has failed.
            RunGoesOnError: Its events broke off before its end.
        """
        start, end = self._start, self._end
        if start is None:
            raise ValueError("a run's events begin with START")
        if end is None:
            raise RunGoesOnError(start.run_id)
        if isinstance(end, Error):
            raise RunFailedError(start.run_id, end.message)
        return RunResult(
            run_id=start.run_id,
            session_id=start.session_id,
            agent_id=start.agent_id,
            content=self.content,
            status=_STATUS_AFTER[end.event],
            tools=tuple(self._tools.values()),
            reasoning_steps=tuple(
                "".join(fragment.text for fragment in stretch) for stretch in self._reasoning
            ),
            followups=end.followups if isinstance(end, Stop) else None,
            metrics=self._metrics,
            required_action=end if isinstance(end, Paused) else None,
        )


_STATUS_AFTER = {
    EventType.STOP: RunStatus.COMPLETED,
    EventType.PAUSED: RunStatus.PAUSED,
    EventType.CANCELLED: RunStatus.CANCELLED,
}


async def collect_result(stream: RunStream) -> RunResult:
    """
    Follow a run to its end.

    Raises:
        RunFailedError: The run has failed.
        RunGoesOnError: Its events broke off before its end.
    """
    builder = RunResultBuilder()
    async with aclosing(stream.batches(idle_s=60)) as batches:
        async for batch in batches:
            for recorded in batch:
                builder.add(recorded)
    return builder.result()
