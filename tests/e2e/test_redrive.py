"""`agentrun redrive` sends dead letters back to the queue that they came from."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentrun_local.cli import main
from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.machine.dynamodb import start_moto_server
from agentrun_local.machine.queues_and_buckets import create_queues, local_client
from agentrun_local.template.resources import read_stack

ROOT = Path(__file__).resolve().parents[2]
STACK = read_stack(ROOT / "template.yaml", {"Issuer": "https://x", "Audience": "a"})
QUEUE, LETTERS = STACK.queues["RunQueue"].url, STACK.queues["RunDeadLetters"].url
ATTRIBUTES = {"kind": {"DataType": "String", "StringValue": "test"}}
pytestmark = pytest.mark.anyio


@pytest.fixture
async def url(anyio_backend: str) -> AsyncIterator[str]:
    async with ProcessSupervisor() as supervisor:
        url = await start_moto_server(supervisor, print)
        create_queues(url, STACK.queues.values())
        yield url


@pytest.fixture
async def sqs(url: str) -> AsyncIterator[Any]:
    client = local_client("sqs", url)
    yield client
    client.close()


def write_letters(sqs: Any, count: int) -> list[str]:
    bodies = [json.dumps({"tenant": "acme", "runId": f"run-{n}"}) for n in range(count)]
    for body in bodies:
        sqs.send_message(QueueUrl=LETTERS, MessageBody=body, MessageAttributes=ATTRIBUTES)
    return bodies


def taken(sqs: Any, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while answer := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        found += answer
    return found


async def test_all_letters_go_back_as_they_were(
    sqs: Any, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = write_letters(sqs, 13)
    assert main(["redrive", "--queues-url", url]) == 0
    back = taken(sqs, QUEUE)
    assert sorted(one["Body"] for one in back) == sorted(bodies)
    assert all(one["MessageAttributes"] == ATTRIBUTES for one in back)
    assert taken(sqs, LETTERS) == []
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "13 letters moved"
    assert sum("acme run-" in line for line in lines) == len(lines) == 13


async def test_a_dry_run_tells_and_moves_nothing(
    sqs: Any, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(sqs, 2)
    assert main(["redrive", "--queues-url", url, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 letters would be moved"
    assert taken(sqs, QUEUE) == []
    assert len(taken(sqs, LETTERS)) == 2


async def test_no_more_are_moved_than_asked_for(
    sqs: Any, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(sqs, 3)
    assert main(["redrive", "--queues-url", url, "--at-most", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 letter moved"
    assert len(taken(sqs, LETTERS)) == 2


async def test_what_a_letter_says_is_not_printed(
    sqs: Any, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in ("secret words", '{"output": "secret words"}', "[]"):
        sqs.send_message(QueueUrl=LETTERS, MessageBody=body)
    assert main(["redrive", "--queues-url", url]) == 0
    told = capsys.readouterr().out
    assert "secret" not in told
    assert told.endswith("3 letters moved\n")


async def test_a_queue_that_is_not_there_is_one_clear_line(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["redrive", "--queues-url", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("agentrun: the queue of runs cannot be used: ")
