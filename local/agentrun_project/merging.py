"""A merge of three texts, line by line, as `diff3` does it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

OURS, BETWEEN, THEIRS = "<<<<<<< yours", "=======", ">>>>>>> agentrun-serverless"
_Lines = Sequence[str]


@dataclass(frozen=True)
class Merged:
    """A text with the changes of both sides, and how many of them are in conflict."""

    text: str
    conflicts: int


def merge(base: str, ours: str, theirs: str, version: str) -> Merged:
    """
    Apply to a text what another one changes in their common base.

    Args:
        base: What both were.
        ours: The user's text.
        theirs: The framework's.
        version: Its version, for the marks of conflicts.

    Returns:
        The text. Where both changed the same lines in different ways, it has both, marked as git
        does.
    """
    texts = [text.splitlines(keepends=True) for text in (base, ours, theirs)]
    merged: list[str] = []
    conflicts = 0
    for was, mine, new in _chunks(*texts):
        if mine in (new, was):
            merged += new
        elif new == was:
            merged += mine
        else:
            conflicts += 1
            merged += _marked(mine, new, version)
    return Merged("".join(merged), conflicts)


def conflict_lines(text: str) -> list[int]:
    """Return the numbers of the lines where a mark of a conflict begins one."""
    return [n for n, line in enumerate(text.splitlines(), 1) if line.startswith(OURS)]


def unsettled_lines(text: str) -> list[int]:
    """
    Return the numbers of the lines with the first mark of each conflict, whichever are left.

    `=======` alone counts, too: no file that is merged has such a line of its own.
    """
    found: list[int] = []
    is_inside = False
    for number, line in enumerate(text.splitlines(), 1):
        is_end = line.startswith(THEIRS)
        if line.startswith(OURS) or ((is_end or line == BETWEEN) and not is_inside):
            found.append(number)
            is_inside = True
        if is_end:
            is_inside = False
    return found


def _chunks(base: _Lines, ours: _Lines, theirs: _Lines) -> Iterator[tuple[_Lines, _Lines, _Lines]]:
    """Cut the texts at the lines that are the same in all three; yield the parts, in order."""
    in_ours, in_theirs = _places(base, ours), _places(base, theirs)
    shared = [n for n in range(len(base)) if n in in_ours and n in in_theirs]
    anchors = [
        (-1, -1, -1),
        *((n, in_ours[n], in_theirs[n]) for n in shared),
        (len(base), len(ours), len(theirs)),
    ]
    for before, after in pairwise(anchors):
        between = [
            text[start + 1 : end]
            for text, start, end in zip((base, ours, theirs), before, after, strict=True)
        ]
        if any(between):
            yield between[0], between[1], between[2]
        if after[0] < len(base):
            line = base[after[0] : after[0] + 1]
            yield line, line, line


def _places(base: _Lines, other: _Lines) -> dict[int, int]:
    """Map the lines of a text to where they still are in another."""
    blocks = SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return {block.a + n: block.b + n for block in blocks for n in range(block.size)}


def _marked(ours: _Lines, theirs: _Lines, version: str) -> Iterator[str]:
    yield f"{OURS}\n"
    yield from _ended(ours)
    yield f"{BETWEEN}\n"
    yield from _ended(theirs)
    yield f"{THEIRS} {version}\n"


def _ended(lines: _Lines) -> Iterator[str]:
    return (line if line.endswith("\n") else f"{line}\n" for line in lines)
