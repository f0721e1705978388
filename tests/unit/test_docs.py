"""The documentation names what exists: files, make targets, events and errors."""

import re
from pathlib import Path

import pytest

from agentrun.domain.errors import CancelRequestedError, HandedOverError
from agentrun.domain.events import EventType
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.http import problems

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "events").glob("*.md")]
)

LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
IN_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
SAID_OF_A_FAILURE = re.compile(
    r'(?:error_type(?:: str)?=|\.failed\(|ai\.\w+,\s+|\w+Error,\s+|^\w+_EXPIRED = )"([A-Z_]+)"',
    re.MULTILINE,
)
WIRE_PROBLEM = re.compile(r'"urn:problem-type:([a-z-]+)","title":"[^"]+","status":(\d{3})')

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls a page's headings."""
    headings = HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(title: str) -> str:
    """Return one section of the API's page, by the beginning of its heading."""
    found = re.findall(rf"^## {re.escape(title)}.*?(?=^## |\Z)", API, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without the code marks."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[1:]]


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for path, anchor in LINK.findall(text):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    assert broken == []


@each_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    code = " ".join(IN_CODE.findall(page.read_text(encoding="utf-8")))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert set(MAKE.findall(code)) - targets == set()


def test_every_make_target_is_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))
    named = re.findall(r"^\| `make ([a-z-]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert set(named) == targets


def test_the_folders_of_the_readmes_map_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("## Where to find what")[1].split("\n## ")[0]
    named = [path for path in re.findall(r"`([^`]+)`", table) if "/" in path and "{" not in path]
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert len(named) >= 10


def test_every_event_of_the_wire_is_documented_and_no_other() -> None:
    assert {row[0] for row in rows("Events of a stream")} == {str(name) for name in EventType}


def test_the_life_cycle_is_drawn_as_the_code_has_it() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^  ([A-Z]+) --> ([A-Z]+)(?:: .+)?$", page, re.MULTILINE))
    assert drawn == {(a, b) for a in RunStatus for b in RunStatus if a.may_become(b)}


def test_every_item_of_the_table_is_drawn() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn, text = page.split("## Items of the table")[1].split("```mermaid\n")[1].split("```\n", 1)
    table = text.split("| item |")[1].split("\n\n")[0]
    keys = set(re.findall(r"`([A-Z]+)(?:#|`)", table)) - {"ORG"}
    # Counters name no run and are named by none.
    counters = {"QUOTA", "READERS"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", drawn)} == counters


def test_every_problem_is_documented_with_its_status_and_no_other() -> None:
    by_functions = {*problems.PROBLEMS.values(), *problems._TYPE_OF_STATUS.items()}
    by_gateway = {(int(status), kind) for kind, status in WIRE_PROBLEM.findall(TEMPLATE)}
    assert by_gateway
    documented = {(int(row[0]), row[1]) for row in rows("Errors")}
    assert documented == by_functions | by_gateway
    assert {kind for _, kind in by_functions} == set(problems.TITLES)


def test_every_field_of_a_run_is_documented() -> None:
    schema = AgentRun.model_json_schema(mode="serialization")["properties"]
    named = set(re.findall(r"`(\w+)`", section("AgentRun") + section("How do I poll many")))
    assert set(schema) - named == set()


def test_the_error_types_of_failed_runs_are_documented() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for package in ("core/agentrun", "engine/agent_catalog")
        for path in (ROOT / "layers" / package).rglob("*.py")
    )
    # No run ends with a hand-over, and one that is cancelled has not failed.
    others = {error().error_type for error in (CancelRequestedError, HandedOverError)}
    raised = set(SAID_OF_A_FAILURE.findall(source)) - others
    documented = {row[0] for row in rows("Why did a run fail?")}
    assert documented == raised
