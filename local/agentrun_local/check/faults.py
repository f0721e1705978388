"""What is wrong with a project: where, what, and what to do about it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_IN_PYTHON = re.compile(
    r"(?:^|(?<=: ))(?P<path>/[^:\n]+\.py):(?P<line>\d+): (?P<said>.+)", re.DOTALL
)
MEND_MODULE = "Mend the module; `make dev` says the same when the agent is run."


@dataclass(frozen=True)
class Fault:
    """
    Something that makes a build, a deployment or runs fail.

    `is_warning` if it may be meant: a model that is newer than the library, for example. `line`
    counts from 1; 0 where the whole file is meant.
    """

    path: Path
    line: int
    said: str
    remedy: str
    is_warning: bool = False

    def told(self, root: Path) -> str:
        """Return the fault in two lines; the first begins as compilers begin theirs."""
        kind = "warning" if self.is_warning else "error"
        return f"{self.place(root)}: {kind}: {self.said}\n    -> {self.remedy}"

    def place(self, root: Path) -> str:
        """Return the file, relative to the project if it is in it, and the line."""
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        return f"{path}:{self.line}" if self.line else str(path)


def in_order(faults: Sequence[Fault]) -> list[Fault]:
    """Sort faults by file and line, each once; errors before the warnings of a line."""
    key = lambda fault: (str(fault.path), fault.line, fault.is_warning, fault.said)  # noqa: E731
    return sorted(dict.fromkeys(faults), key=key)


def line_of(path: Path, text: str) -> int:
    """Return the first line of a file that has a text; 0 if none has."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    return next((number for number, line in enumerate(lines, 1) if text in line), 0)


def placed_in_python(text: str) -> tuple[str, int, str] | None:
    """Return the module, the line and what is said of it, of a message that names its place."""
    found = _IN_PYTHON.search(text)
    return found and (found["path"], int(found["line"]), found["said"])
