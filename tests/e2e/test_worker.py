"""Workers of the local stack: a run goes on without a reader, whatever becomes of its process."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun_local.machine.queues_and_buckets import local_client
from tests.e2e.conftest import ROOT, WAIT_S, LocalStack, running_stack, wait_until
from tests.e2e.processes import descends_from
from tests.runs import a_request, a_run

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/agentrun-RunQueue"
PROMISED_S = 30
"""How long after a worker's death another one goes on (docs/architecture.md)."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    scratch = tmp_path_factory.mktemp("worker")
    variables = scratch / "variables.env"
    variables.write_text("AGENTRUN_DEMO_DELAY_MS=100\n")
    with running_stack(ROOT / "template.yaml", scratch, "--env-file", str(variables)) as stack:
        yield stack


class Runs:
    """The stack's runs, as its functions store them, and its queue."""

    def __init__(self, stack: LocalStack) -> None:
        self._dynamodb = local_client("dynamodb", stack.dynamodb)
        self._sqs = local_client("sqs", stack.queues)
        self.store = DynamoRunStore(Table(self._dynamodb, "agentrun-RunsTable"))

    def begin(self, message: str) -> AgentRun:
        """Store a run for the background, and ask for an executor."""
        now = datetime.now(UTC)
        new = a_run(
            str(uuid4()),
            session_id=str(uuid4()),
            input=message,
            created_at=now,
            updated_at=now,
            started_at=now,
            lease=Lease(executor="nobody", until=now),
            max_attempts=3,
        )
        run = new.in_background()
        self.store.start(run, a_request(message))
        body = json.dumps({"tenant": run.org_id, "runId": run.id})
        self._sqs.send_message(QueueUrl=QUEUE, MessageBody=body)
        return run

    def now(self, run: AgentRun) -> AgentRun:
        return self.store.get(run.key)

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self._sqs.get_queue_attributes(QueueUrl=QUEUE, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def close(self) -> None:
        self._dynamodb.close()
        self._sqs.close()


@pytest.fixture
def runs(stack: LocalStack) -> Iterator[Runs]:
    runs = Runs(stack)
    yield runs
    runs.close()


def workers_of(stack: LocalStack) -> list[int]:
    """Return the processes of the stack's worker function."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        is_worker = b"AWS_LAMBDA_FUNCTION_NAME=WorkerFunction" in environment
        if is_worker and descends_from(int(folder.name), stack.process.pid):
            found.append(int(folder.name))
    return found


def ended(runs: Runs, run: AgentRun) -> Any:
    return lambda: runs.now(run).status is RunStatus.COMPLETED


def test_a_message_starts_a_worker_and_is_gone_with_the_runs_end(runs: Runs) -> None:
    run = runs.begin("one two three")
    wait_until(ended(runs, run), "the run has ended")
    assert runs.now(run).output == "one two three"
    wait_until(lambda: runs.left() == 0, "the message is deleted")


def test_a_killed_workers_run_is_taken_over_within_its_time(runs: Runs, stack: LocalStack) -> None:
    words = " ".join(str(number) for number in range(30))
    run = runs.begin(words)
    wait_until(lambda: runs.now(run).status is RunStatus.RUNNING, "a worker has it")
    begun = datetime.now(UTC)
    for pid in workers_of(stack):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: runs.now(run).attempt == 2, "another has it", within_s=PROMISED_S)
    assert (datetime.now(UTC) - begun).total_seconds() < PROMISED_S
    wait_until(ended(runs, run), "the run has ended", within_s=WAIT_S)
    wait_until(lambda: runs.left() == 0, "the message is deleted")
