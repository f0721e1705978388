"""Metrics of one's own are billed one by one, so their number is bounded, and documented."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent_catalog import load_catalog
from agentrun.domain.endings import CancelledByRequest, Outcome
from agentrun.domain.events import Metrics
from agentrun.telemetry import count_ended_run
from tests.runs import a_run, completed, failed, paused
from tests.translated_template import operations

COSTS = (Path(__file__).resolve().parents[3] / "docs/costs.md").read_text(encoding="utf-8")
CANCELLED = CancelledByRequest(
    output="", metrics=Metrics(duration_ms=5), last_event_id=3, reason="asked for"
)
ENDS: list[Outcome | None] = [completed(), failed(), CANCELLED, paused(), None]
OF_GATEWAY = ("Count", "4XXError", "5XXError", "Latency", "IntegrationLatency")
"""What API Gateway counts of a REST API without a cache ("dimensions and metrics")."""
USD_A_MONTH = 0.30


@pytest.fixture(autouse=True)
def _as_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stream")


def written(capsys: pytest.CaptureFixture[str], agent: str, outcome: Outcome | None) -> Any:
    count_ended_run(a_run(agent_id=agent), outcome)
    return json.loads(capsys.readouterr().out)["_aws"]["CloudWatchMetrics"]


def metrics_of(capsys: pytest.CaptureFixture[str], agent: str) -> set[str]:
    """Return the names of all metrics that runs of an agent can come to."""
    said = [declared for end in ENDS for declared in written(capsys, agent, end)]
    assert {tuple(sorted(d)) for one in said for d in one["Dimensions"]} == {("agent", "service")}
    return {metric["Name"] for one in said for metric in one["Metrics"]}


def row(beginning: str) -> list[str]:
    """Return the figures of a row of the section on metrics."""
    (found,) = re.findall(rf"^\| {re.escape(beginning)}.*$", COSTS, re.MULTILINE)
    return re.findall(r"\d+(?:\.\d+)?", found.partition("|")[2].partition("|")[2])


def test_an_agent_has_six_metrics_whatever_becomes_of_its_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = metrics_of(capsys, "echo")
    ends = {"RunsCompleted", "RunsFailed", "RunsCancelled", "RunsPaused", "RunsLost"}
    assert names == ends | {"RunDuration"}
    agents = len(load_catalog("demo").agents())
    total = len(names) * agents
    assert row("the stack's own") == ["6", f"{total}", f"{agents}", f"{total * USD_A_MONTH:.2f}"]


def test_what_metrics_by_path_and_method_come_to_is_documented() -> None:
    methods = len(operations())
    total = len(OF_GATEWAY) * methods
    expected = ["5", f"{methods}", f"{total}", f"{total * USD_A_MONTH:.2f}"]
    assert row("API Gateway's by path and method") == expected
