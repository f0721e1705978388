"""Workers of the local stack: a run goes on without a reader, whatever becomes of its process."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun_local.machine.queues_and_buckets import local_client
from tests.e2e.conftest import ROOT, WAIT_S, LocalStack, running_stack, wait_until
from tests.e2e.processes import processes_of

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
    """Runs in the background, as their owner and the table see them, and their queue."""

    def __init__(self, stack: LocalStack) -> None:
        self._client = stack.client()
        self._dynamodb = local_client("dynamodb", stack.dynamodb)
        self._sqs = local_client("sqs", stack.queues)
        self._store = DynamoRunStore(Table(self._dynamodb, "agentrun-RunsTable"))

    def begin(self, message: str) -> RunKey:
        """Ask for a run that nobody streams."""
        answer = self._client.post("/api/agents/echo/runs/background", json={"message": message})
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "QUEUED"
        return RunKey(tenant="dev-org", run_id=answer.json()["runId"])

    def now(self, run: RunKey) -> AgentRun:
        """Look into the table, which changes nothing; a poll might ask for an executor."""
        return self._store.get(run)

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self._sqs.get_queue_attributes(QueueUrl=QUEUE, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def close(self) -> None:
        self._client.close()
        self._dynamodb.close()
        self._sqs.close()


@pytest.fixture
def runs(stack: LocalStack) -> Iterator[Runs]:
    runs = Runs(stack)
    yield runs
    runs.close()


def ended(runs: Runs, run: RunKey) -> Any:
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
    for pid in processes_of(stack, "WorkerFunction"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: runs.now(run).attempt == 2, "another has it", within_s=PROMISED_S)
    assert (datetime.now(UTC) - begun).total_seconds() < PROMISED_S
    wait_until(ended(runs, run), "the run has ended", within_s=WAIT_S)
    wait_until(lambda: runs.left() == 0, "the message is deleted")
