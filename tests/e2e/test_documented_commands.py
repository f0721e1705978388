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
)
from tests.e2e.conftest import LocalStack, running_stack
from tests.e2e.documented_reader import BEFORE, REST_API, commands_of, name_of, printed, typed

EVENT = "/tmp/event.json"  # noqa: S108 - where docs/local.md writes it

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
OF_A_PROJECT = (ROOT / "docs/start.md", ROOT / "docs/start-deploy.md")
"""Their commands are for another folder: tests/deploy/test_init.py types them."""
TYPED_ELSEWHERE = {*OF_A_PROJECT, *HOW_TO}
SHELL_PAGES = [page for page in PAGES if blocks_of(page, SHELL) and page not in TYPED_ELSEWHERE]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Run the stack of a reader who has also typed the options of docs/deploy.md."""
    folder = tmp_path_factory.mktemp("documented")
    options = ("--parameter", "BasePath=/assist")
    with running_stack(ROOT / "template.yaml", folder, *options) as running:
        yield running


each_page = pytest.mark.parametrize("page", SHELL_PAGES, ids=name_of)


@pytest.mark.timeout(240)
@each_page
def test_the_commands_of_a_page_can_be_typed_in_its_order(page: Path, stack: LocalStack) -> None:
    said = typed("\n".join([BEFORE, GIVEN.get(name_of(page), ""), *commands_of(page)]), stack)
    if name_of(page) == "README.md":
        assert '"output":"17 * 23 = 391"' in said
        assert said.count('"event":"PAUSED"') == 1
        assert said.count('"event":"STOP"') == 2


def test_the_banner_can_be_pasted(stack: LocalStack) -> None:
    banner = stack.log.read_text(encoding="utf-8")
    pasted = banner.split("Paste this into another terminal:")[1].split("Or talk with it")[0]
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


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to run it with")
def test_the_javascript_reader_of_the_api_page_reads_a_run(stack: LocalStack) -> None:
    reader, call = (block.text for block in blocks_of(ROOT / "docs/api.md", "javascript"))
    given = f"const [baseUrl, token] = ['{REST_API}', '{stack.token()}'];\n"
    show = "let shown = '';\nconst show = (text) => { shown = text; };\n"
    program = given + show + reader.replace("export ", "") + call + "process.stdout.write(shown);\n"
    node = str(shutil.which("node"))
    assert printed(stack, node, "--input-type=module", program) == "17 * 23 = 391"
