"""What `agentrun smoke` says: nothing secret, a remedy for every failure, and what is missing."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentrun_local.cli import main
from agentrun_local.smoke.model_checks import REMEDIES
from agentrun_local.smoke.outcome import Outcome, fails, holds, not_tried
from agentrun_local.smoke.report import Report, all_hold
from agentrun_local.smoke.suite import CHECKS, Row
from agentrun_local.smoke.target import Door, Spent, Target

ROOT = Path(__file__).resolve().parents[4]
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
HOST = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
TARGET = Target({Door.REST: f"https://{HOST}/live"}, TOKEN)
AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def row(outcome: Outcome) -> Row:
    return Row(CHECKS[0], Door.REST, outcome, took_s=0.5)


@pytest.mark.parametrize("echoed", [TOKEN, TOKEN.split(".")[1], f"Bearer {TOKEN}|", HOST])
def test_a_report_holds_neither_the_token_nor_a_whole_host_name(echoed: str) -> None:
    report = Report(TARGET, AT)
    rows = [row(fails(f"said {echoed}", f"look at {echoed}"))]
    said = [report.head(), report.row(rows[0])]
    said += [report.foot(rows, 1, deleted=False), report.document(rows, 1, deleted=False)]
    assert not [text for text in said if echoed.strip("|") in text]
    assert "a1b2….execute-api.eu-west-1.amazonaws.com/live" in said[0]


def test_control_characters_of_a_stack_do_not_reach_the_terminal() -> None:
    assert Report(TARGET, AT).safe("a\x1b[31m\nb") == "a?[31m?b"


def test_nothing_that_is_seen_adds_a_column() -> None:
    line = Report(TARGET, AT).row(row(holds("one | two")))
    assert line.count("|") == 5


def test_remedies_stand_once_below_the_table() -> None:
    rows = [row(fails("503")), row(fails("503")), row(holds("200"))]
    said = Report(TARGET, AT).foot(rows, 2, deleted=False)
    assert said.count(CHECKS[0].remedy) == 1
    assert "1 holds, 2 fails, 0 not tried." in said


def test_what_was_run_is_summed_up_by_model() -> None:
    spent = [Spent("demo", 100), Spent("bedrock:x", 20, 0.25), Spent("bedrock:x", 10, 0.5)]
    target = Target(TARGET.doors, TOKEN, spent=dict(zip("abc", spent, strict=True)))
    said = Report(target, AT).foot([], 2, deleted=True)
    assert "1 run on demo, 100 tokens, nothing to pay for it" in said
    assert "2 runs on bedrock:x, 30 tokens, 0.750000 USD; 2 s." in said
    document = json.loads(Report(target, AT).document([], 2, deleted=True))
    assert document["cost"][1] == {"model": "bedrock:x", "runs": 2, "tokens": 30, "costUsd": 0.75}


def test_a_price_that_is_not_known_is_not_summed_up_as_nothing() -> None:
    spent = {"a": Spent("bedrock:x", 20, 0.25), "b": Spent("bedrock:x", 10)}
    assert "not known" in Report(Target({}, TOKEN, spent=spent), AT).foot([], 2, deleted=True)


def test_nothing_tried_is_no_success() -> None:
    assert not all_hold([row(not_tried("left out"))])
    assert all_hold([row(not_tried("left out")), row(holds("200"))])
    assert not all_hold([row(holds("200")), row(fails("503"))])


def test_every_failure_of_a_model_has_its_remedy() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    section = page.split("## Why did a run fail?")[1].split("\n## ")[0]
    told = set(re.findall(r"^\| `([A-Z_]+)`", section, re.MULTILINE))
    of_the_model = {name for name in told if name.startswith("MODEL_")}
    assert len(of_the_model) >= 4
    assert of_the_model <= set(REMEDIES) <= told


def test_the_documented_checks_are_those_that_are_tried() -> None:
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    section = page.split("## Check that it works")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+?) \| ", section, re.MULTILINE)
    assert [name for name in rows if name not in {"check", "option"}] == [
        check.name for check in CHECKS
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--base-url", "https://api.example"], "AGENTRUN_TOKEN"),
        (["--function-url", "http://127.0.0.1:1"], "needs --base-url"),
        (["--base-url", "api.example/live"], "is no base URL"),
        (["--base-url", "https://api.example:port"], "is no base URL"),
        (["--base-url", "ftp://api.example"], "is no base URL"),
        (["--base-url", "https://api..example"], "is no base URL"),
        (["--skip", "everything"], "--skip knows no 'everything'"),
        (["--skip", "cancel@side"], "--skip knows no 'cancel@side'"),
    ],
)
def test_the_command_says_what_it_is_missing(
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AGENTRUN_TOKEN", raising=False)
    assert main(["smoke", *options]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("places", ["0", "41", "-1"])
def test_the_places_that_are_taken_are_bounded(
    places: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--at-limit", places]) == 2
    assert "'--at-limit'" in capsys.readouterr().err
