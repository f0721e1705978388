"""A tool call as a box, or as a line where boxes have no place."""

import json
from typing import TYPE_CHECKING

from agentrun_cli.terminal.documents import as_json
from agentrun_cli.terminal.safe_text import one_line, safe

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agentrun_client import JsonValue, ToolEnd, ToolError

MOST_LINES = 12
MOST_CHARACTERS = 200
"""Of a line; what is decided is shown whole."""
_SHORT = 60


def panel(
    name: str,
    arguments: "JsonValue",
    outcome: "ToolEnd | ToolError | None" = None,
    took_ms: int | None = None,
) -> "RenderableType":
    """Return the box of a call that has ended, or of one that waits for a decision."""
    from rich.console import Group  # noqa: PLC0415
    from rich.panel import Panel  # noqa: PLC0415
    from rich.rule import Rule  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # Nobody is to approve what they have not seen.
    asked = readable(arguments, is_whole=outcome is None)
    parts: list[RenderableType] = [Text(asked, style="cyan")]
    border = "yellow"
    if outcome is not None:
        failed = outcome.event == "TOOL_ERROR"
        border = "red" if failed else "blue"
        said = outcome.error if outcome.event == "TOOL_ERROR" else outcome.result
        parts += [Rule(style="dim"), Text(readable(said), style="red" if failed else "")]
    return Panel(
        Group(*parts),
        title=Text(one_line(name), style="bold"),
        title_align="left",
        subtitle=None if took_ms is None else Text(duration(took_ms), style="dim"),
        subtitle_align="right",
        border_style=border,
        expand=False,
    )


def line(name: str, arguments: "JsonValue") -> str:
    """Return a call that begins or waits as one line."""
    return f"tool {one_line(name)} {one_line(as_json(arguments))}"


def end_line(outcome: "ToolEnd | ToolError", took_ms: int | None) -> str:
    """Return what came of a call as one line."""
    took = "" if took_ms is None else f" ({duration(took_ms)})"
    if outcome.event == "TOOL_ERROR":
        return f"tool {one_line(outcome.name)} failed: {one_line(outcome.error)}{took}"
    result = outcome.result
    text = result if isinstance(result, str) else as_json(result)
    return f"tool {one_line(outcome.name)} gave {one_line(text, 200)}{took}"


def readable(value: "JsonValue", *, is_whole: bool = False) -> str:
    """Return JSON, or a text that may be JSON, for reading: short in a line, long in a few."""
    text = _text(value)
    return text if is_whole else _cut(text)


def _text(value: "JsonValue") -> str:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return safe(str(value))
        if isinstance(value, str):
            return safe(value)
    text = as_json(value)
    return text if len(text) <= _SHORT else as_json(value, indent=2)


def _cut(text: str) -> str:
    lines = [
        line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…"
        for line in text.splitlines()
    ]
    more = len(lines) - MOST_LINES
    if more <= 0:
        return "\n".join(lines)
    return "\n".join([*lines[:MOST_LINES], f"… {more} more line{'' if more == 1 else 's'}"])


def duration(ms: int) -> str:
    """Return a duration as people read it."""
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {seconds % 60:.0f} s"
