"""What a run has said so far, less what was taken back."""

from typing import assert_never

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
    TerminalEvent,
    ToolEnd,
    ToolError,
    ToolStart,
    UnknownEvent,
)
from agentrun_client.following.fragments import Fragments
from agentrun_client.models.json_value import JsonValue
from agentrun_client.models.runs import Figures, RunResult, RunStatus, ToolCall

STATUS_AFTER: dict[type[TerminalEvent], RunStatus] = {
    Stop: "COMPLETED",
    Failed: "FAILED",
    Paused: "PAUSED",
    Cancelled: "CANCELLED",
}


class _Tool:
    """A call and what came of it; `began_at` is 0 if its TOOL_START was not seen."""

    def __init__(self, name: str, arguments: JsonValue, began_at: int) -> None:
        """Begin it."""
        self.name = name
        self.arguments = arguments
        self.began_at = began_at
        self.end: ToolEnd | ToolError | None = None

    def as_call(self, call_id: str) -> ToolCall:
        """Return it as a result shows it."""
        is_error, output = isinstance(self.end, ToolError), self._output()
        return ToolCall(call_id, self.name, self.arguments, output, is_error)

    def _output(self) -> JsonValue:
        if isinstance(self.end, ToolError):
            return self.end.error
        return self.end.result if self.end else None


class Transcript:
    """Takes a run's events in their order, and applies each STEP_RESET."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.start: Start | None = None
        self.end: TerminalEvent | None = None
        self.is_from_start = False
        self._content = Fragments()
        self._reasoning = Fragments()
        self._stretches: list[int] = []
        self._in_reasoning = False
        self._tools: dict[str, _Tool] = {}
        self._metrics: Metrics | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._content.text

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return self._reasoning.text

    @property
    def is_whole(self) -> bool:
        """Whether it has the run's first event and one that ends a stream."""
        return self.is_from_start and self.end is not None

    def add(self, event: RunEvent) -> None:
        """Take the next event."""
        if type(event) is ContentDelta:
            # Nearly all of them, so it is looked at first.
            self._content.append(event.id, event.text)
            self._in_reasoning = False
        elif type(event) is ReasoningDelta:
            if not self._in_reasoning:
                self._stretches.append(event.id)
            self._reasoning.append(event.id, event.text)
            self._in_reasoning = True
        else:
            self._in_reasoning = False
            self._take(event)

    def _take(self, event: RunEvent) -> None:
        match event:
            case Start():
                self.is_from_start = self.is_from_start or event.id == 1
                self.start, self.end = event, None
            case ToolStart():
                self._tools[event.call_id] = _Tool(event.name, event.arguments, event.id)
            case ToolEnd() | ToolError():
                # Of a tool that began before this stream did, its START was not seen.
                self._tools.setdefault(event.call_id, _Tool(event.name, None, 0)).end = event
            case StepReset():
                self._void(event.to_event_id)
            case Metrics():
                self._metrics = event
            case Stop() | Failed() | Paused() | Cancelled():
                self.end = event
            case ContentDelta() | ReasoningDelta() | UnknownEvent():
                pass
            case _:
                assert_never(event)

    def _void(self, after: int) -> None:
        self._content.drop_above(after)
        self._reasoning.drop_above(after)
        self._tools = {
            call_id: tool
            for call_id, tool in self._tools.items()
            if tool.end is not None or tool.began_at <= after
        }

    def result(self) -> RunResult:
        """
        Return what the run gave.

        Raises:
            ValueError: It has not ended, or its START is missing.
        """
        if self.start is None or self.end is None:
            raise ValueError("the transcript has no beginning or no end")
        end = self.end
        return RunResult(
            run_id=self.start.run_id,
            session_id=self.start.session_id,
            agent_id=self.start.agent_id,
            status=STATUS_AFTER[type(end)],
            text=self.text,
            reasoning_steps=self._reasoning.split_at(self._stretches),
            tools=tuple(tool.as_call(call_id) for call_id, tool in self._tools.items()),
            followups=end.followups if isinstance(end, Stop) else None,
            metrics=_figures(self._metrics),
            required_action=end.required_action if isinstance(end, Paused) else None,
            error=_why(end),
        )


def _why(end: TerminalEvent) -> str | None:
    match end:
        case Failed():
            return end.message
        case Cancelled():
            return end.reason
        case Stop() | Paused():
            return None
        case _:
            assert_never(end)


def _figures(event: Metrics | None) -> Figures | None:
    if event is None:
        return None
    return Figures(
        event.input_tokens,
        event.output_tokens,
        event.reasoning_tokens,
        event.total_tokens,
        event.llm_calls,
        event.model,
        event.cost_usd,
        event.duration_ms,
    )
