"""Questions to the person at the terminal."""

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from agentrun_cli.terminal.safe_text import safe


class Asker(Protocol):
    """Asks, and returns what was typed."""

    def __call__(self, question: str, prefill: str = "") -> str:
        """
        Ask a question.

        Args:
            question: What stands before the cursor.
            prefill: What is typed already, to be edited.

        Raises:
            EOFError: There will be no answer.
        """
        ...


def ask(question: str, prefill: str = "") -> str:
    """Ask at the terminal, with line editing and a history. See `Asker`."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        # `input` would put the question into what is piped.
        print(safe(question), end="", file=sys.stderr, flush=True)
        return next_line()
    edit = _prefilled(prefill)
    try:
        return input(safe(question))
    finally:
        edit(None)


def next_line(question: str = "", prefill: str = "") -> str:  # noqa: ARG001 - of Asker
    """Read a line of standard input, where nobody sees a question. See `Asker`."""
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def _prefilled(text: str) -> Callable[[Callable[[], object] | None], None]:
    try:
        # Imported for its effect on `input`, too. Some Pythons have none.
        import readline  # noqa: PLC0415
    except ImportError:
        return lambda _: None
    readline.set_startup_hook((lambda: readline.insert_text(safe(text))) if text else None)
    return readline.set_startup_hook


def choose(asker: Asker, question: str, choices: Sequence[str]) -> str:
    """
    Ask until one of the choices is named, by its first letter or its whole word.

    Raises:
        EOFError: There will be no answer.
    """
    offered = ", ".join(f"[{choice[0]}]{choice[1:]}" for choice in choices)
    while True:
        typed = asker(f"{question} {offered}: ").strip().lower()
        for choice in choices:
            if typed and choice.startswith(typed):
                return choice
