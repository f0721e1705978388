"""Shows a run's events one after the other; nothing that was printed is ever changed."""

from typing import TYPE_CHECKING, assert_never

from agentrun_cli.showing.figures import figures
from agentrun_cli.showing.shown import Shown
from agentrun_cli.showing.tool_panel import end_line, line, panel
from agentrun_cli.terminal.safe_text import one_line, safe
from agentrun_cli.terminal.screen import is_plain
from agentrun_client import (
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

if TYPE_CHECKING:
    from rich.console import Console

_REASONS = {
    "EXECUTOR_LOST": "its executor was lost",
    "HANDED_OVER": "it was handed over",
    "MODEL_INTERRUPTED": "the model broke off",
}
_WAITS_FOR = {
    "TOOL_APPROVAL": "an approval",
    "TOOL_IN_DOUBT": "a decision on tools that may have run",
    "BUDGET": "a larger budget",
}


class RunView:
    """
    Prints a run's text as it comes and its tool calls as they end.

    `answers` takes the answer; without it the answer is not shown, because it is printed whole
    somewhere else. `screen` takes the rest.
    """

    def __init__(self, screen: "Console", answers: "Console | None") -> None:
        self._screen = screen
        self._answers = answers
        self._is_plain = is_plain(screen)
        self._shown = Shown()
        self._began: dict[str, ToolStart] = {}
        self._metrics: Metrics | None = None
        self._last: str = ""
        self._cursor_is_in_a_line = False

    def show(self, event: RunEvent) -> None:
        """Show the next event."""
        match event:
            case ContentDelta():
                self._text(event, "answer")
            case ReasoningDelta():
                self._text(event, "reasoning")
            case ToolStart():
                self._tool_begins(event)
            case ToolEnd() | ToolError():
                self._tool_ends(event)
            case StepReset():
                self._reset(event)
            case Metrics():
                self._metrics = event
            case Stop() | Failed() | Cancelled() | Paused():
                self._end(event)
            case Start() | UnknownEvent():
                pass
            case _:
                assert_never(event)

    def note(self, text: str, style: str = "dim") -> None:
        """Print a remark in a line of its own."""
        self.end_line()
        self._screen.out(safe(text), style=style, highlight=False)

    def end_line(self) -> None:
        """Bring the cursor to the beginning of a line."""
        if self._cursor_is_in_a_line:
            (self._answers or self._screen).out("", highlight=False)
        self._cursor_is_in_a_line = False

    def _text(self, event: ContentDelta | ReasoningDelta, kind: str) -> None:
        screen = self._answers if kind == "answer" else self._screen
        if screen is None or (kind == "reasoning" and not screen.is_terminal):
            return
        if self._last not in {"", kind}:
            self.end_line()
            if self._last == "reasoning":
                self._screen.out("", highlight=False)
        if kind == "reasoning" and self._last != kind and self._is_plain:
            self._write(screen, "reasoning: ")
        self._write(screen, event.text, style="dim italic" if kind == "reasoning" else None)
        self._shown.add(event.id, event.text, is_answer=kind == "answer")
        self._last = kind

    def _write(self, screen: "Console", text: str, style: str | None = None) -> None:
        if not text:
            return
        screen.out(safe(text), style=style, end="", highlight=False)
        self._cursor_is_in_a_line = not text.endswith("\n")

    def _tool_begins(self, event: ToolStart) -> None:
        self._began[event.call_id] = event
        self._interrupt()
        self.note(line(event.name, event.arguments) if self._is_plain else f"▸ {event.name} …")

    def _tool_ends(self, event: ToolEnd | ToolError) -> None:
        began = self._began.pop(event.call_id, None)
        took_ms = None if began is None else max(0, event.timestamp - began.timestamp)
        self._interrupt()
        if self._is_plain:
            self.note(end_line(event, took_ms))
            return
        self.end_line()
        arguments = began.arguments if began else None
        self._screen.print(panel(event.name, arguments, event, took_ms))

    def _interrupt(self) -> None:
        self._shown.interrupt()
        self._last = "tool"

    def _reset(self, event: StepReset) -> None:
        reset = self._shown.reset(event.to_event_id)
        void = [call for call in self._began.values() if call.id > event.to_event_id]
        for call in void:
            del self._began[call.call_id]
        reason = _REASONS.get(event.reason, event.reason)
        if reset.has_void or void:
            what = "what was said since the last step is void, and is said again"
        else:
            what = "it goes on"
        self.note(f"↻ {reason}; {what} (attempt {event.attempt})", style="yellow")
        self._last = ""
        if reset.kept and self._answers is not None:
            self._write(self._answers, reset.kept)
            self._last = "answer"

    def _end(self, event: Stop | Failed | Cancelled | Paused) -> None:
        self.end_line()
        self._interrupt()
        match event:
            case Failed():
                self.note(f"failed: {one_line(event.message)}", style="red")
            case Cancelled():
                self.note(f"cancelled: {one_line(event.reason)}", style="yellow")
            case Paused():
                waits_for = _WAITS_FOR.get(event.required_action.type, event.required_action.type)
                self.note(f"paused: the run waits for {waits_for}", style="yellow")
            case Stop():
                pass
        if used := figures(self._metrics):
            self.note(used)
        self._metrics = None
