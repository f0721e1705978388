"""Search in this project's own documentation."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from agent_catalog.toolkit import PassageIndex, split_passages

_ROOM = Path(__file__).resolve().parents[1]
# The layer's build copies the documents here: /opt has nothing else of the repository.
_SHIPPED = _ROOM / "knowledge"
_CHECKOUT = _ROOM.parents[1]

_MAX_PASSAGES = 3
_MAX_CHARACTERS = 1_200


def search_docs(query: str) -> list[dict[str, str]]:
    """
    Search the documentation of this project for the passages that answer a question.

    Args:
        query: The question, or a few keywords.

    Returns:
        The best passages first, each with its file, heading and text; empty when nothing fits.
    """
    return [
        {
            "source": passage.source,
            "heading": passage.heading,
            "text": _cut(passage.text),
        }
        for passage in _index().search(query, _MAX_PASSAGES)
    ]


def document_files(root: Path) -> Iterator[Path]:
    """Yield the documents below a folder, in a stable order: README, CHANGELOG, docs."""
    yield from (path for path in (root / "README.md", root / "CHANGELOG.md") if path.is_file())
    yield from sorted((root / "docs").rglob("*.md"))


@cache
def _index() -> PassageIndex:
    root = _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT
    return PassageIndex(
        passage
        for path in document_files(root)
        for passage in split_passages(
            path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        )
    )


def _cut(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    return text[:_MAX_CHARACTERS].rpartition("\n")[0].rstrip() + "\n…"
