"""The examples of both pages for clients show the answer that stands, whatever is taken back."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from agentrun.domain.events import (
    ContentDelta,
    ReasoningDelta,
    RecordedEvent,
    ResetReason,
    RunEvent,
    Start,
    StepReset,
    Stop,
    ToolEnd,
    ToolStart,
)
from agentrun.http.sse import wire_data
from agentrun.service.reading.result import RunResultBuilder
from tests.documented import ROOT, blocks_of

START = Start(run_id="r", session_id="s", agent_id="a")
GAP = 1_000_000
EVENTS: list[tuple[int, RunEvent]] = [
    (1, START),
    (2, ContentDelta(text="Let me ")),
    (3, ContentDelta(text="see")),
    # The model breaks off, and its answer is asked for again.
    (4, StepReset(to_event_id=1, attempt=2, reason=ResetReason.MODEL_INTERRUPTED)),
    (5, ContentDelta(text="Looking. ")),
    (6, ToolStart(id="c", name="search", arguments={})),
    (7, ToolEnd(id="c", name="search", result="found")),
    (8, ReasoningDelta(text="Now")),
    (9, ContentDelta(text="It is fo")),
    # The process dies; another one goes on from the tool.
    (GAP + 8, START),
    (GAP + 9, StepReset(to_event_id=7, attempt=3, reason=ResetReason.EXECUTOR_LOST)),
    (GAP + 10, ContentDelta(text="It is ")),
    (GAP + 11, ContentDelta(text="41.")),
    # A hand-over in mid-answer.
    (GAP + 12, START),
    (GAP + 13, StepReset(to_event_id=7, attempt=4, reason=ResetReason.HANDED_OVER)),
    (GAP + 14, ContentDelta(text="It is 42.")),
    (GAP + 15, Stop(run_id="r")),
]
ANSWER = "Looking. It is 42."
PAGES = ("docs/api.md", "docs/readers.md")
each_page = pytest.mark.parametrize("page", PAGES)


def wire() -> list[dict[str, Any]]:
    """Return the events as the recipes hand them on."""
    return [
        {"id": str(number), "event": event.event, "data": wire_data(event), "timestamp": 1}
        for number, event in EVENTS
    ]


def example(page: str, language: str, calls: str) -> str:
    """Return the block of a page that reads a run and shows its answer."""
    blocks = [block.text for block in blocks_of(ROOT / page, language)]
    (found,) = [text for text in blocks if calls in text and "STEP_RESET" in text]
    return found


def test_the_answer_is_what_the_project_itself_makes_of_the_events() -> None:
    said = RunResultBuilder()
    for number, event in EVENTS:
        said.add(RecordedEvent(id=number, timestamp_ms=1, event=event))
    assert said.content == ANSWER


@each_page
def test_the_python_example_shows_what_stands(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_agent(*_: object, **__: object) -> Iterator[object]:
        for event in wire():
            as_tuple = (int(event["id"]), event["event"], event["data"])
            yield as_tuple if page == "docs/api.md" else event

    shown: list[str] = []
    given = {"run_agent": run_agent, "json": json, "show": shown.append}
    exec(example(page, "python", "in run_agent("), given | {"base_url": "", "token": ""})  # noqa: S102 - our own page
    assert (shown[-1] if shown else capsys.readouterr().out) == ANSWER
    assert all("see" not in text for text in shown[-4:])


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to run it with")
@each_page
def test_the_javascript_example_shows_what_stands(page: str) -> None:
    given = f"""
const [baseUrl, token, events] = ["", "", {json.dumps(wire())}];
let shown = "";
const show = (text) => {{ shown = text; }};
"""
    handed_on = """
async function runAgent(_, onEvent) { for (const event of events) onEvent(event); }
"""
    if page == "docs/api.md":
        given = given.replace("events]", "given]")
        handed_on = """
async function* runAgent() {
  for (const event of given) yield { ...event, id: Number(event.id) };
}
"""
    shown = "\nprocess.stdout.write(shown);\n"
    done = subprocess.run(
        [str(shutil.which("node")), "--input-type=module"],
        input=given + handed_on + example(page, "javascript", "runAgent(") + shown,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ANSWER), done.stderr
