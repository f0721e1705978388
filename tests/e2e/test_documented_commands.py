"""What the documentation tells its readers to type, typed as it stands there."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from agentrun_local.cli import application
from tests.documented import (
    HOW_TO,
    PAGES,
    ROOT,
    SHELL,
    blocks_of,
    documented_commands,
    program_of,
    programs_of,
)
from tests.e2e.conftest import LocalStack, running_stack

REST_API, FUNCTION_URL = "http://127.0.0.1:8000", "http://127.0.0.1:8001"
QUEUES = "http://127.0.0.1:PORT"

WRITTEN = ("variables.env", "answer.txt")
EVENT = "/tmp/event.json"  # noqa: S108 - where docs/local.md writes it

RUN_ELSEWHERE = {
    "make": "targets: CI runs them, and tests/unit/test_docs.py knows that they exist",
    ".venv/bin/sam": "test_sam_takes_the_documented_commands here, and tests/deploy",
    "aws": "tests/deploy/test_documented_aws.py",
    ".venv/bin/python": "measurements, which take minutes",
}
"""By its program, who runs a command that needs AWS, Docker or many minutes."""
OF_A_DEPLOYMENT = (
    # tests/deploy/test_ministack.py runs it, and test_redrive.py the same for a local stack.
    ".venv/bin/agentrun redrive --stack ",
    # It needs an issuer; tests/unit/agentrun_cli/login has one.
    ".venv/bin/agentrun login ",
)
"""Commands that are run elsewhere, where there is what they need."""

BEFORE = """
set -eu
curl() { command curl --fail-with-body --max-time 60 "$@"; }
"""
GIVEN = {
    "docs/api.md": """
BASE_URL=http://127.0.0.1:8000
TOKEN=$(.venv/bin/agentrun token)
RUN_ID=$(curl -s -o /dev/null -D - "$BASE_URL/api/agents/echo/runs/stream" \\
  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -d '{"message": "/emit 40"}' | tr -d '\\r' | sed -n 's/^x-run-id: //p')
""",
    # The command line has a variable for what the page's text takes as its default.
    "README.md": "export AGENTRUN_BASE_URL=http://127.0.0.1:8000\n",
    "docs/clients.md": "export AGENTRUN_BASE_URL=http://127.0.0.1:8000\n",
    "docs/command-line.md": """
export AGENTRUN_BASE_URL=http://127.0.0.1:8000
export XDG_CONFIG_HOME=$(mktemp -d) XDG_STATE_HOME=$(mktemp -d)
""",
    "docs/deploy.md": """
REST_API_BASE_URL=http://127.0.0.1:8000
TOKEN=$(.venv/bin/agentrun token)
""",
    "docs/local.md": "TOKEN=$(.venv/bin/agentrun token)\nANTHROPIC_API_KEY=none\n",
}
"""What a page's text says that its reader has by then."""
OF_A_TASK = """
export AGENTRUN_BASE_URL=http://127.0.0.1:8000
TOKEN=$(.venv/bin/agentrun token)
"""
"""The same for the pages of docs/how-to."""

TOLD_BY_A_TASK = {
    "ask-a-human-first": "Bought 1 AMZN",
    "erase-a-users-data": "deleted ",
    "limit-what-a-run-may-spend": "budget",
    "run-in-the-background": "COMPLETED 19 * 23 = 437",
    "test-an-agent": "",
    "watch-costs-and-alarms": "('analyst', ",
}
"""What a page's Python prints, at least; one that prints nothing has assertions of its own."""

OF_A_PROJECT = (ROOT / "docs/start.md", ROOT / "docs/start-deploy.md")
"""Their commands are for another folder: tests/deploy/test_init.py types them."""
SHELL_PAGES = [page for page in PAGES if blocks_of(page, SHELL) and page not in OF_A_PROJECT]


def name_of(page: Path) -> str:
    """Return a page's path as links in the project name it."""
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Run the stack of a reader who has also typed the options of docs/deploy.md."""
    folder = tmp_path_factory.mktemp("documented")
    options = ("--parameter", "BasePath=/assist")
    with running_stack(ROOT / "template.yaml", folder, *options) as running:
        yield running


each_page = pytest.mark.parametrize("page", SHELL_PAGES, ids=name_of)


def runs_here(command: str) -> bool:
    """Tell whether a command is for a laptop's shell alone."""
    is_elsewhere = program_of(command) in RUN_ELSEWHERE or command.startswith(OF_A_DEPLOYMENT)
    return not is_elsewhere


def typed(script: str, stack: LocalStack) -> str:
    """Run a script in the project's folder against a stack on other ports; return what it says."""
    script = script.replace(REST_API, stack.rest_api).replace(FUNCTION_URL, stack.function_url)
    script = script.replace(QUEUES, stack.queues)
    # What the reader keeps in the project's folder stays as it is.
    for file in WRITTEN:
        script = script.replace(file, str(stack.log.with_name(file)))
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(240)
@each_page
def test_the_commands_of_a_page_can_be_typed_in_its_order(page: Path, stack: LocalStack) -> None:
    commands = [
        command
        for block in blocks_of(page, SHELL)
        for command in block.commands
        if runs_here(command)
    ]
    given = GIVEN.get(name_of(page), OF_A_TASK if page in HOW_TO else "")
    said = typed("\n".join([BEFORE, given, *commands]), stack)
    if name_of(page) == "README.md":
        assert '"output":"17 * 23 = 391"' in said
        assert said.count('"event":"PAUSED"') == 1
        assert said.count('"event":"STOP"') == 2
    if page.stem == "run-in-the-background":
        assert "19 * 23 = 437" in said
        assert "run.completed" in said


def test_the_banner_can_be_pasted(stack: LocalStack) -> None:
    banner = stack.log.read_text(encoding="utf-8")
    pasted = banner.split("Paste this into another terminal:")[1].split("More tokens")[0]
    said = typed(BEFORE + pasted.replace("Then ask how it ended:", ""), stack)
    assert '"status":"COMPLETED"' in said


def test_a_block_of_commands_says_that_it_is_one() -> None:
    programs = ("make ", "aws ", "curl ", "sam ", ".venv/bin/", "$ ", "agentrun ")
    unmarked = [
        block
        for page in PAGES
        for block in blocks_of(page)
        if block.language != SHELL and block.text.startswith(programs)
    ]
    assert unmarked == []


def test_the_documented_options_of_agentrun_exist() -> None:
    calls = list(_calls_by_make())
    assert {call[0] for call in calls} == {"dev", "doctor"}
    group = typer.main.get_group(application())
    context = group.make_context("agentrun", [], resilient_parsing=True)
    for arguments in calls:
        command = group.get_command(context, arguments[0])
        assert command is not None
        command.make_context(arguments[0], arguments[1:], parent=context)


def _calls_by_make() -> Iterator[list[str]]:
    """Yield what the documented calls of make hand on to `agentrun`."""
    for words in documented_commands("make"):
        if words[0] in {"dev", "doctor"} and len(words) > 1:
            yield [words[0], *words[1].removeprefix("ARGS=").split()]


SAM = """
import json, sys
from samcli.cli.main import cli

for words in json.loads(sys.argv[1]):
    context, command = cli.make_context("sam", [], resilient_parsing=True), cli
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, words)
    command.make_context(name, words, parent=context)
"""


def test_sam_takes_the_documented_commands(tmp_path: Path) -> None:
    calls = list(documented_commands(".venv/bin/sam"))
    assert len(calls) >= 5
    for name in ("template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, tmp_path)
    # Files that the reader writes.
    (tmp_path / "parameters.yaml").write_text("Issuer: https://issuer.example\n")
    event = tmp_path / "event.json"
    event.write_text("{}")
    calls = [[word.replace(EVENT, str(event)) for word in words] for words in calls]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAM, json.dumps(calls)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_python_reader_of_the_api_page_reads_a_run(stack: LocalStack) -> None:
    reader, call = (block.text for block in blocks_of(ROOT / "docs/api.md", "python"))
    program = f"token = {stack.token()!r}\n{reader}\n{call}"
    assert printed(stack, sys.executable, "-", program) == "17 * 23 = 391"


def test_the_python_examples_of_the_clients_page_run_in_their_order(stack: LocalStack) -> None:
    blocks = blocks_of(ROOT / "docs/clients.md", "python")
    token = f"import os\nos.environ['AGENTRUN_TOKEN'] = {stack.token()!r}\n"
    said = printed(stack, sys.executable, "-", token + "\n".join(block.text for block in blocks))
    for told in ("17 * 23 = 391", "18 * 23 = 414", "COMPLETED 19 * 23 = 437", "Bought 1 AMZN"):
        assert told in said
    assert "404 There is no agent 'nobody'." in said


@pytest.mark.parametrize(
    "page", [page for page in HOW_TO if programs_of(page, "python")], ids=name_of
)
def test_the_python_of_a_task_runs(page: Path, stack: LocalStack) -> None:
    tokens = {"AGENTRUN_TOKEN": stack.token(), "AGENTRUN_ADMIN_TOKEN": stack.token(roles=["admin"])}
    given = f"import os\nos.environ |= {tokens!r}\n"
    with stack.client(user="leaver") as leaver:
        leaver.post("/api/agents/echo/runs", json={"message": "Hello"}).raise_for_status()
    said = printed(stack, sys.executable, "-", given + programs_of(page, "python"))
    assert TOLD_BY_A_TASK[page.stem] in said


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to run it with")
def test_the_javascript_reader_of_the_api_page_reads_a_run(stack: LocalStack) -> None:
    reader, call = (block.text for block in blocks_of(ROOT / "docs/api.md", "javascript"))
    given = f"const [baseUrl, token] = ['{REST_API}', '{stack.token()}'];\n"
    show = "let shown = '';\nconst show = (text) => { shown = text; };\n"
    program = given + show + reader.replace("export ", "") + call + "process.stdout.write(shown);\n"
    node = str(shutil.which("node"))
    assert printed(stack, node, "--input-type=module", program) == "17 * 23 = 391"


def printed(stack: LocalStack, interpreter: str, option: str, program: str) -> str:
    """Run a program that is written for the default port; return what it prints."""
    done = subprocess.run(
        [interpreter, option],
        input=program.replace(REST_API, stack.rest_api),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
