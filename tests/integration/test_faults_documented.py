"""The pages about reliability, models and costs say what the tests prove and the commands print."""

import re
from pathlib import Path

import pytest

from bench import costs
from tests.e2e import test_lost_connections as lost
from tests.integration.fault_rows import FAULTS, ROWS

ROOT = Path(__file__).resolve().parents[2]
RELIABILITY = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
COSTS = (ROOT / "docs/costs.md").read_text(encoding="utf-8")
MODELS = (ROOT / "docs/models.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", RELIABILITY + MODELS)))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def documented_faults() -> list[tuple[str, ...]]:
    """Return the page's table as rows like those of the test's."""
    lines = RELIABILITY.splitlines()
    heading = next(line for line in lines if line.startswith("| operation |"))
    at = lines.index(heading)
    faults = cells(heading)[2:]
    return [
        (operation, length, fault, seen)
        for operation, length, *outcomes in map(cells, lines[at + 2 : lines.index("", at)])
        for fault, seen in zip(faults, outcomes, strict=True)
        if seen != "-"
    ]


def test_the_pages_faults_are_those_that_are_tested() -> None:
    tested = [(row.operation, str(row.length), str(row.fault), str(row.seen)) for row in ROWS]
    assert documented_faults() == tested
    assert {fault for _, _, fault, _ in tested} == {str(fault) for fault in FAULTS}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_promise_names_a_test() -> None:
    promises = RELIABILITY.split("## What is promised")[1].split("\n## ")[0].splitlines()
    rows = [cells(line) for line in promises if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [promise for promise, proof in rows if "::test_" not in proof] == []


def test_every_rule_of_the_models_names_a_test() -> None:
    rules = [cells(line) for line in MODELS.split("## The rules")[1].splitlines() if "|" in line]
    assert len(rules) > 15
    assert [rule[0] for rule in rules[2:] if "::test_" not in rule[-1]] == []


def test_the_figures_of_cuts_and_kills_are_those_that_are_asserted() -> None:
    text = " ".join(RELIABILITY.split())
    assert f"{lost.CUT_RUNS} runs whose connections are cut {lost.CUTS} times" in text
    assert f"{lost.KILLS * lost.RUNS_A_KILL} runs, ten at a time" in text


def test_the_prices_are_those_of_the_command() -> None:
    text = " ".join(COSTS.split())
    for price, what in (
        (f"{costs.WRITE_UNIT * 1e6:.3f}", "for a million write units"),
        (f"{costs.READ_UNIT * 1e6:.3f}", "for a million read units"),
        (f"{costs.GB_SECOND:.10f}", "for a GB-second"),
        (f"{costs.LAMBDA_REQUEST * 1e6:.2f}", "for a million Lambda requests"),
    ):
        assert f"{price} {what}" in text
