"""Failures explain themselves: what a developer reads in the console of `agentrun dev`."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ROOT, LocalStack, running_stack, wait_until
from tests.e2e.processes import stream_processes_of
from tests.e2e.sse import started_run

TOOL = '''"""Weather."""


def forecast(city: str) -> str:
    """Tell the weather."""
    {body}
    return city
'''
AGENT = "name: W\ndescription: D\nmodel: demo\ntools: ['tools.{tool}:forecast']\n"
FILES = {
    "tools/lacking.py": "import not_there\n" + TOOL.format(body=""),
    "tools/failing.py": TOOL.format(body="raise ValueError(f'no weather in {city}')"),
    "tools/unreadable.py": "def forecast(:\n",
    "agents/lacking.yaml": AGENT.format(tool="lacking"),
    "agents/failing.yaml": AGENT.format(tool="failing"),
    "agents/unreadable.yaml": AGENT.format(tool="unreadable"),
    "agents/weatherman.yml": AGENT.format(tool="failing"),
}
CALL = '/call forecast {"city": "Oslo"}'


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faulty") / "dev.log"


@pytest.fixture(scope="module")
def faulty(log: Path) -> Iterator[LocalStack]:
    """Run this project with agents and tools that are broken in several ways."""
    project = log.parent / "project"
    for folder in ("functions", "layers", "docs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, project / folder, ignore=ignored)
    shutil.copy(ROOT / "template.yaml", project)
    for name, text in FILES.items():
        (project / "layers/agents" / name).write_text(text)
    with running_stack(project / "template.yaml", log.parent) as stack:
        yield stack


def lines(log: Path, *words: str) -> list[str]:
    """Return the lines that hold all of these."""
    return [line for line in log.read_text().splitlines() if all(word in line for word in words)]


def only_line(log: Path, *words: str) -> str:
    wait_until(lambda: bool(lines(log, *words)), f"a line with {words}")
    (line,) = lines(log, *words)
    return line


def run(stack: LocalStack, agent: str) -> httpx.Response:
    with stack.client("function_url") as client:
        return client.post(f"/api/agents/{agent}/runs/stream", json={"message": CALL})


def test_a_broken_agent_is_told_once_at_the_start(faulty: LocalStack, log: Path) -> None:
    told = lines(log, "an agent's file is broken: ")
    assert [line.split("broken: ")[1].split(": ")[0] for line in told] == [
        "unreadable.yaml:4",
        "weatherman.yml",
    ]
    assert "/tools/unreadable.py:1: invalid syntax" in told[0]
    assert run(faulty, "unreadable").status_code == 500
    assert run(faulty, "echo").status_code == 200


def test_a_tool_that_cannot_be_imported_is_told_with_file_and_line(
    faulty: LocalStack, log: Path
) -> None:
    assert "The tool 'forecast' cannot be loaded." in run(faulty, "lacking").text
    assert only_line(log, "run failed: AGENT_ERROR").startswith("stream ")
    cause = only_line(log, "ModuleNotFoundError: No module named 'not_there' (")
    assert cause.endswith("/tools/lacking.py:1)")


def test_a_tool_that_fails_is_told_with_its_words_and_line(faulty: LocalStack, log: Path) -> None:
    answer = run(faulty, "failing").text
    assert "The tool has failed." in answer
    assert "no weather" not in answer
    cause = only_line(log, "ValueError: no weather in Oslo (")
    assert cause.endswith("/tools/failing.py:6)")


@pytest.mark.parametrize(
    ("door", "source", "own_line"),
    [("rest_api", "authorizer ", "rest api "), ("function_url", "stream ", "url ")],
)
def test_a_bad_token_is_one_line(
    faulty: LocalStack, log: Path, door: str, source: str, own_line: str
) -> None:
    before = len(log.read_text().splitlines())
    url = f"{getattr(faulty, door)}/api/agents/echo/runs/stream"
    answer = httpx.post(url, json={"message": "hi"}, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401

    def told() -> list[str]:
        return log.read_text().splitlines()[before:]

    def refusals() -> list[str]:
        return [line for line in told() if line.startswith(source) and "token refused" in line]

    def answers() -> list[str]:
        return [line for line in told() if line.startswith(own_line) and " 401 " in line]

    # Lines of the test before may still come in between.
    wait_until(lambda: bool(refusals() and answers()), "both have told")
    assert (len(refusals()), len(answers())) == (1, 1)
    assert "Traceback" not in "".join(told())


def test_a_killed_process_is_one_line_with_its_run(faulty: LocalStack, log: Path) -> None:
    (pid,) = stream_processes_of(faulty)
    with (
        faulty.client("function_url") as client,
        started_run(client, "/emit 1000 every 100") as (answer, frames),
    ):
        assert next(frames).event == "START"
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            list(frames)
    line = only_line(log, f"the process {pid} ")
    assert line.endswith(f"was killed by SIGKILL, serving run {answer.headers['x-run-id']}")
