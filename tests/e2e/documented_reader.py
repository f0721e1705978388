"""A reader of the documentation, who types what its pages show against a running stack."""

import subprocess
from pathlib import Path

from tests.documented import ROOT, SHELL, blocks_of, program_of
from tests.e2e.conftest import LocalStack

REST_API, FUNCTION_URL = "http://127.0.0.1:8000", "http://127.0.0.1:8001"
QUEUES = "http://127.0.0.1:PORT"

WRITTEN = ("variables.env", "answer.txt")
"""Files that a reader keeps in the project's folder."""
RUN_ELSEWHERE = {
    "make": "targets: CI runs them, and tests/unit/test_docs.py knows that they exist",
    ".venv/bin/sam": "tests/e2e/test_documented_commands.py and tests/deploy",
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


def name_of(page: Path) -> str:
    """Return a page's path as links in the project name it."""
    return page.relative_to(ROOT).as_posix()


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


def commands_of(page: Path) -> list[str]:
    """Return a page's commands for a laptop's shell, in their order."""
    return [
        command
        for block in blocks_of(page, SHELL)
        for command in block.commands
        if runs_here(command)
    ]


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
