"""The terminal, as far as there is one."""

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def can_ask() -> bool:
    """Tell whether there is somebody to ask: who types, and sees the question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@cache
def console(*, of_errors: bool = False) -> "Console":
    """Return what prints to standard output, or error; styles obey NO_COLOR and TERM."""
    # Imported here: it takes a moment, which commands that print plain text need not wait.
    from rich.console import Console  # noqa: PLC0415

    # Nothing that is printed is markup, and numbers in an answer are not to be coloured.
    return Console(stderr=of_errors, markup=False, highlight=False, emoji=False)


def is_plain(screen: "Console") -> bool:
    """Tell whether boxes and styles have no place: in a file, a pipe, or a dumb terminal."""
    return not screen.is_terminal or os.environ.get("TERM", "dumb") in {"dumb", "unknown", ""}
