"""SECURITY.md names tests that exist; the page about logs names the lines that are logged."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)))
LOGGED = re.compile(r'\b_?log(?:ger)?\.(info|warning|error|exception)\(\s*"([^"]+)"')
LEVELS = {"exception": "error"}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading."""
    section = page.split(f"## {heading}")[1].split("\n## ", maxsplit=1)[0]
    return [cells(line) for line in section.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_threat_has_a_control_and_a_test() -> None:
    rows = table(SECURITY, "What is protected")
    assert len(rows) > 15
    for _, attacker, control, proof in rows:
        assert attacker
        assert control
        assert "::test_" in proof


def test_the_lines_that_are_logged_are_those_of_the_page() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for folder in ("layers/core/agentrun", "layers/engine/agent_catalog", "functions")
        for path in (ROOT / folder).rglob("*.py")
    ]
    logged = {
        (re.sub(r"%[sgd]", "…", text), LEVELS.get(level, level))
        for source in sources
        for level, text in LOGGED.findall(source)
    }
    rows = table(ARCHITECTURE, "What is logged")
    assert {(line.strip("`"), level) for line, level, _ in rows} == logged
    assert len(logged) > 15
