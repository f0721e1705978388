"""The commands and programs of docs/how-to, one page after the other, typed as they stand there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import HOW_TO, ROOT, programs_of
from tests.e2e.conftest import LocalStack, running_stack
from tests.e2e.documented_reader import BEFORE, commands_of, name_of, printed, typed

GIVEN = """
export AGENTRUN_BASE_URL=http://127.0.0.1:8000
TOKEN=$(.venv/bin/agentrun token)
"""
"""What the pages' index says that their reader has by then."""
SAID_BY_COMMANDS = {
    "ask-a-human-first": "Bought 3 AMZN",
    "debug-a-failed-run": "MODEL_ERROR",
    "erase-a-users-data": "My name is Ana",
    "run-in-the-background": "run.completed",
    "watch-costs-and-alarms": '"totalTokens"',
}
SAID_BY_PROGRAMS = {
    "ask-a-human-first": "Bought 1 AMZN",
    "erase-a-users-data": "deleted ",
    "limit-what-a-run-may-spend": "budget",
    "run-in-the-background": "COMPLETED 19 * 23 = 437",
    # It has assertions of its own, and prints nothing.
    "test-an-agent": "",
    "watch-costs-and-alarms": "('analyst', ",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(ROOT / "template.yaml", tmp_path_factory.mktemp("how-to")) as running:
        yield running


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", [p for p in HOW_TO if commands_of(p)], ids=name_of)
def test_the_commands_of_a_task_can_be_typed_in_their_order(page: Path, stack: LocalStack) -> None:
    said = typed("\n".join([BEFORE, GIVEN, *commands_of(page)]), stack)
    assert SAID_BY_COMMANDS.get(page.stem, "") in said


@pytest.mark.parametrize("page", [p for p in HOW_TO if programs_of(p, "python")], ids=name_of)
def test_the_python_of_a_task_runs(page: Path, stack: LocalStack) -> None:
    tokens = {"AGENTRUN_TOKEN": stack.token(), "AGENTRUN_ADMIN_TOKEN": stack.token(roles=["admin"])}
    given = f"import os\nos.environ |= {tokens!r}\n"
    with stack.client(user="leaver") as leaver:
        leaver.post("/api/agents/echo/runs", json={"message": "Hello"}).raise_for_status()
    said = printed(stack, sys.executable, "-", given + programs_of(page, "python"))
    assert SAID_BY_PROGRAMS[page.stem] in said
