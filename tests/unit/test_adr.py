"""Each decision says what has become of it and when it was written, and the table agrees."""

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs/adr"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
TABLE = (FOLDER / "README.md").read_text(encoding="utf-8")

HEAD = re.compile(
    r"# (?P<number>\d{4}): .+\n\n- Status: (?P<status>.+)\n- Date: (?P<date>\d{4}-\d\d-\d\d)\n\n"
)
STATUS = re.compile(r"proposed|accepted|rejected|superseded by \[(\d{4})\]\((\1-[a-z0-9-]+\.md)\)")
ROW = re.compile(r"^\| \[(\d{4})\]\((\S+)\) \| .+ \| (.+) \| (\S+) \|$", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def head(page: Path) -> re.Match[str]:
    """Return the title, status and date of a page."""
    found = HEAD.match(page.read_text(encoding="utf-8"))
    assert found, "below the title: `- Status: accepted`, `- Date: 2026-11-22`, an empty line"
    return found


@each_page
def test_every_decision_has_its_number_a_status_and_a_date(page: Path) -> None:
    found = head(page)
    assert page.name.startswith(found["number"])
    assert STATUS.fullmatch(found["status"])
    assert date.fromisoformat(found["date"])


@each_page
def test_a_superseded_decision_leads_to_a_later_one(page: Path) -> None:
    status = STATUS.fullmatch(head(page)["status"])
    if status and status[2]:
        assert (FOLDER / status[2]).exists()
        assert status[1] > head(page)["number"]


def test_the_table_of_decisions_agrees_with_the_pages() -> None:
    rows = ROW.findall(TABLE)
    pages = [
        (head(page)["number"], page.name, *head(page).group("status", "date")) for page in PAGES
    ]
    assert rows == pages
