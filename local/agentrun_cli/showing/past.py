"""
What was said in a conversation before.

A file of its own: `chat` and `sessions show` print it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentrun_cli.terminal.safe_text import one_line, safe
from agentrun_client import Message

if TYPE_CHECKING:
    from rich.console import Console


def show_messages(messages: Iterable[Message], screen: "Console") -> None:
    """Print messages, the oldest first; of a tool's result one line."""
    for message in messages:
        match message.role:
            case "user":
                screen.out(safe(f"> {message.content}"), style="bold", highlight=False)
            case "tool":
                screen.out(
                    f"tool gave {one_line(message.content, 200)}", style="dim", highlight=False
                )
            case _:
                cut = " …" if message.content_truncated else ""
                screen.out(safe(message.content) + cut, highlight=False)
