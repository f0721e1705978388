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
    *(HOW_TO := sorted((ROOT / "docs/how-to").glob("*.md"))),
    ROOT / "events/README.md",
)
SHELL = "bash"

_CONTINUED = re.compile(r"\\\n")
_LOOP = re.compile(r"^for .*?^done\b", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(
    r"`[^`\n]*?(?P<file>[\w-]+\.\w+)`[^`\n]*(?:\n[^`\n]+)*:\n\n```\w+\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

_PROGRAM = re.compile(r"(?:for .*?; do )?(?:[A-Z_]+=\$\(|[A-Z_]+=\S+ )?(\S+)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, its language and its text."""

    page: Path
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell's block, each whole, a loop too; comments are left out."""
        joined = _CONTINUED.sub(" ", self.text)
        joined = _LOOP.sub(_on_one_line, joined)
        return [line for line in joined.splitlines() if line.strip() and line[0] != "#"]


def _on_one_line(loop: re.Match[str]) -> str:
    lines = [line.strip() for line in loop[0].splitlines()]
    return "; ".join(lines).replace("do; ", "do ")


def program_of(command: str) -> str:
    """Return what a command runs, also in a loop, or to set a variable."""
    found = _PROGRAM.match(command)
    return found[1] if found else ""


def blocks_of(page: Path, language: str | None = None) -> list[Block]:
    """Return a page's blocks of one language, or all of them."""
    found = [
        Block(page, name, text) for name, text in _FENCED.findall(page.read_text(encoding="utf-8"))
    ]
    return [block for block in found if language in {None, block.language}]


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page has its reader write, by their names without the folder."""
    found = _NAMED.finditer(page.read_text(encoding="utf-8"))
    return {match["file"]: match["text"] for match in found}


def programs_of(page: Path, language: str) -> str:
    """Return a page's blocks of one language that are no files, as one text; maybe an empty one."""
    files = files_of(page).values()
    blocks = [block.text for block in blocks_of(page, language) if block.text not in files]
    return "\n".join(blocks)


def documented_commands(program: str) -> Iterator[list[str]]:
    """Yield the arguments of each documented call of a program, by the program's path."""
    for page in PAGES:
        for block in blocks_of(page, SHELL):
            for command in block.commands:
                if program_of(command) == program:
                    words = shlex.split(command, comments=True)
                    yield words[words.index(program) + 1 :]
