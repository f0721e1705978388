"""Logs are readable on a terminal."""

import io
import json

import pytest

from agentrun.domain.endings import Outcome
from agentrun.telemetry import count_ended_run
from agentrun_local.console import Console, readable
from tests.runs import a_run, completed, failed, paused


def test_every_line_has_its_source_in_front() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.source("StreamFunction")("one\ntwo")
    console.source("rest api")("three")
    assert stream.getvalue().splitlines() == [
        "stream     one",
        "stream     two",
        "rest api   three",
    ]


def test_a_structured_line_becomes_a_sentence_with_its_own_keys() -> None:
    record = {"level": "INFO", "message": "run began", "service": "stream", "runId": "7"}
    assert readable(json.dumps(record)) == "INFO run began runId=7"


def test_a_trace_follows_its_line() -> None:
    record = {"level": "ERROR", "message": "failed", "exception": "Traceback:\n  line"}
    assert readable(json.dumps(record)).splitlines() == ["ERROR failed", "Traceback:", "  line"]
    reported = {"level": "ERROR", "errorMessage": "no", "stackTrace": ["  a\n", "  b\n"]}
    assert readable(json.dumps(reported)).splitlines() == ["ERROR no", "  a", "  b"]


def test_metrics_are_names_and_values() -> None:
    record = {
        "_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "Runs"}, {"Name": "Ms"}]}]},
        "Runs": 1,
        "Ms": 12.5,
    }
    assert readable(json.dumps(record)) == "metrics Runs=1 Ms=12.5"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (completed(), "completed, 7 tokens"),
        (failed(), "failed, 0.0 s"),
        (paused(), "paused, 3 tokens"),
        (None, "lost"),
    ],
)
def test_the_end_of_a_run_names_agent_run_tokens_and_duration(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome | None,
    told: str,
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stream")
    run = a_run(agent_id="echo")
    count_ended_run(run, outcome)
    assert readable(capsys.readouterr().out.strip()) == f"run {run.id} of echo {told}"


def test_anything_else_is_left_alone() -> None:
    for line in ("plain", "{not json", '{"an": "object"}'):
        assert readable(line) == line
