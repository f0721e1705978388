"""The commands and programs that the documentation shows, in the order of its pages."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "events/README.md",
)
SHELL = "bash"

_FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, its language and its text."""

    page: Path
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell's block, each whole, comments left out."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if line.strip() and line[0] not in "# "]


def blocks_of(page: Path, language: str | None = None) -> list[Block]:
    """Return a page's blocks of one language, or all of them."""
    found = [
        Block(page, name, text) for name, text in _FENCED.findall(page.read_text(encoding="utf-8"))
    ]
    return [block for block in found if language in {None, block.language}]


def documented_commands(program: str) -> Iterator[list[str]]:
    """Yield the arguments of each documented call of a program, by the program's path."""
    for page in PAGES:
        for block in blocks_of(page, SHELL):
            for command in block.commands:
                words = shlex.split(command, comments=True)
                if words[0] == program:
                    yield words[1:]
