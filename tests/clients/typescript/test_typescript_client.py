"""The TypeScript client, as it is installed, against the local stack."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from uuid import uuid4

import pytest

from tests.clients.typescript.conftest import PACKAGE, Driver, finished, found, output_of
from tests.e2e.conftest import wait_until
from tests.endurance.stack import AGENT

LOOK = '/call look {"step": 1, "before_s": 0, "after_s": 4}'
ACT = '/call act_approved {"step": 1, "before_s": 0, "after_s": 0}'


@pytest.fixture(scope="module", autouse=True)
def killed(driver: Driver) -> Iterator[subprocess.Popen[str]]:
    """Yield a driver whose run's executor has been killed; meanwhile other tests go on."""
    session_id = str(uuid4())
    process = driver.start("drive.mjs", "chat", AGENT, LOOK, session_id)
    stack = driver.stack
    wait_until(lambda: any((stack.folder / "effects").glob("*/look*")), "its tool runs")
    assert stack.kill(session_id)
    yield process
    process.kill()


def test_a_chat_streams_its_answer(driver: Driver) -> None:
    driven = driver.drive("chat", "analyst", "What is 17 * 23?")
    names = [event["event"] for event in driven.events]
    assert (names[0], names[-2:]) == ("START", ["METRICS", "STOP"])
    outcome = driven.outcome
    assert (outcome["status"], outcome["text"]) == ("COMPLETED", "17 * 23 = 391")
    (tool,) = outcome["tools"]
    assert (tool["toolName"], tool["toolOutput"]) == ("calculate", 391)
    assert outcome["metrics"]["llmCalls"] == 2


def test_tool_calls_are_decided(driver: Driver) -> None:
    outcome = driver.drive("decide", AGENT, ACT).outcome
    assert outcome["statuses"] == ["PAUSED", "COMPLETED", "PAUSED", "COMPLETED"]
    assert "step 1 is done" in outcome["third"]["text"]


def test_an_abort_cancels_if_that_is_wanted(driver: Driver) -> None:
    outcome = driver.drive("abort", AGENT, LOOK).outcome
    assert (outcome["error"], outcome["status"]) == ("AbortError", "CANCELLED")


def test_records_are_read_listed_and_deleted(driver: Driver) -> None:
    outcome = driver.drive("records", "echo", "Hello, run!").outcome
    run = outcome["run"]
    assert (run["status"], run["output"]) == ("COMPLETED", "Hello, run!")
    assert outcome["listed"] == outcome["many"] == [run["id"]]
    assert [message["role"] for message in outcome["messages"]] == ["user", "assistant"]
    assert outcome["gone"] == "NotFoundError"
    assert "echo" in outcome["agents"]
    assert outcome["health"] == {"status": "UP"}


def test_an_event_source_reads_with_a_ticket(driver: Driver) -> None:
    driven = driver.drive("tickets", "echo", "Hello, run!")
    assert driven.events[-1]["event"] == "STOP"
    assert driven.outcome["text"] == "Hello, run!"


def test_the_quickstart_runs(driver: Driver) -> None:
    readme = (PACKAGE / "README.md").read_text()
    quickstart = re.search(r"## Quickstart\n.*?```ts\n(.*?)```", readme, re.DOTALL)
    assert quickstart is not None
    (driver.folder / "quickstart.mjs").write_text(quickstart[1])
    assert output_of(driver.start("quickstart.mjs")) == "17 * 23 = 391\n"


def test_the_types_need_neither_a_browsers_nor_reacts(driver: Driver) -> None:
    lines = (
        'import { Agentrun, type RunResult } from "agentrun-client";',
        'const client = new Agentrun({ baseUrl: "", token: "" });',
        'export const result: Promise<RunResult> = client.runs.create("analyst", "Hi");',
    )
    (driver.folder / "typed.ts").write_text("\n".join(lines))
    modules = PACKAGE / "node_modules"
    options = ("--noEmit", "--strict", "--target", "es2022", "--lib", "es2022", "--types", "node")
    command = (found("node"), modules / "typescript/bin/tsc", *options, "--module", "nodenext")
    roots = ("--typeRoots", modules / "@types", "typed.ts")
    checked = subprocess.run(
        [*command, *roots], cwd=driver.folder, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_package_holds_what_it_needs_and_no_more(driver: Driver) -> None:
    installed = driver.folder / "node_modules"
    assert sorted(path.name for path in installed.iterdir() if path.name[0] != ".") == [
        "agentrun-client",
        "eventsource-parser",
    ]
    package = installed / "agentrun-client"
    kinds = {path.suffix for path in package.rglob("*") if path.is_file()}
    assert kinds == {".js", ".ts", ".json", ".md", ""}
    manifest = json.loads((package / "package.json").read_text())
    for entry in manifest["exports"].values():
        targets = [entry] if isinstance(entry, str) else entry.values()
        assert all((package / target).is_file() for target in targets)


def test_a_run_whose_executor_is_killed_ends_with_the_whole_answer(
    driver: Driver, killed: subprocess.Popen[str]
) -> None:
    driven = finished(killed)
    run = driver.stack.now(driven.outcome["runId"])
    assert (run.status, run.attempt) == ("COMPLETED", 2)
    assert driven.outcome["textSoFar"] == driven.outcome["text"] == run.output
    ids = [event["id"] for event in driven.events]
    assert all(earlier < later for earlier, later in pairwise(ids))
    # The one gap there is: where somebody else has taken over.
    assert sum(later - earlier > 1 for earlier, later in pairwise(ids)) == 1
    assert [event["event"] for event in driven.events].count("STOP") == 1
