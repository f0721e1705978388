"""What a person types: messages of several lines, commands, and the numbers of follow-ups."""

from collections.abc import Sequence
from typing import Literal

from agentrun_cli.terminal.asking import Asker

PROMPT = "> "
MORE = "… "
FENCE = '"""'
LEAVE = {"/exit", "/quit"}
HELP = """\
/exit, /quit or Ctrl-D leave; Ctrl-C during an answer cancels the run.
A line that ends in \\ goes on in the next one; \"\"\" begins and ends a message of many lines.
/session prints the conversation's id, to go on with: agentrun chat AGENT --session ID.
The number of a follow-up question asks it."""

Left = Literal["left"]


def read_message(asker: Asker) -> str:
    """
    Read a message, of several lines if it says so.

    Raises:
        EOFError: There is no more.
        KeyboardInterrupt: Ctrl-C at the prompt.
    """
    first = asker(PROMPT)
    if first.strip().startswith(FENCE):
        return _fenced(asker, first.strip().removeprefix(FENCE))
    lines = [first]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1].removesuffix("\\")
        lines.append(asker(MORE))
    return "\n".join(lines)


def _fenced(asker: Asker, begun: str) -> str:
    lines = [begun] if begun else []
    while not (lines and lines[-1].endswith(FENCE)):
        lines.append(asker(MORE))
    lines[-1] = lines[-1].removesuffix(FENCE)
    return "\n".join(lines).strip("\n")


def followup_of(typed: str, offered: Sequence[str]) -> str | None:
    """Return the follow-up whose number was typed."""
    if typed.strip().isdecimal() and 1 <= int(typed) <= len(offered):
        return offered[int(typed) - 1]
    return None
