"""docs/readers.md: its recipes, which are the files that the tests run, and its tables."""

import re
from collections.abc import Mapping, Sequence

from tests.readers.roster import READERS, ROOT, Reader

PAGE = ROOT / "docs/readers.md"
RECIPE = re.compile(
    r"^<!-- (tests/readers/\S+) -->\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def recipes() -> dict[str, str]:
    """Return the text of each recipe on the page, by the file that it is a copy of."""
    return {path: text for path, _, text in RECIPE.findall(PAGE.read_text(encoding="utf-8"))}


def rows(heading: str, readers: Sequence[Reader]) -> Mapping[Reader, Sequence[str]]:
    """Return the cells of the first table of a section, for these readers in this order."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[1:]]
    return dict(zip(readers, cells, strict=True))


def recipe_rows() -> Mapping[Reader, Sequence[str]]:
    """Return what the page says that each reader does with its recipe."""
    return rows("What each reader does", READERS)


def left_open_rows() -> Mapping[Reader, Sequence[str]]:
    """Return what the page says that each package does when nobody stops it."""
    left_open = [reader for reader in READERS if reader.left_open]
    return rows("What packages do when nobody stops them", left_open)


def main() -> None:
    """Copy the recipes' files into the page."""

    def renewed(match: re.Match[str]) -> str:
        path, language, _ = match.groups()
        text = (ROOT / path).read_text(encoding="utf-8")
        return f"<!-- {path} -->\n```{language}\n{text}```"

    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(RECIPE.sub(renewed, page), encoding="utf-8")


if __name__ == "__main__":
    main()
