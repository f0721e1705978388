"""The worker function, wired as on Lambda: a message in, and the run that it names goes on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from tests.integration.conftest import deployment
from tests.queues import QUEUE_URL, received, run_record, sqs_client_of
from tests.runs import a_request, a_run
from tests.tables import TABLE, client_of


class Context:
    """Lambda's context of an invocation that has a minute left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture(scope="module")
def worker() -> Iterator[ModuleType]:
    with deployment() as app_module:
        module = app_module("worker")
        yield module
        module.handler.close()


def stored(worker: ModuleType, run: AgentRun) -> RunKey:
    """Store a run, and ask for an executor."""
    DynamoRunStore(Table(client_of(), TABLE)).start(run, a_request("hello"))
    worker.runs.queue.send(run.key)
    return run.key


def lost(run_id: str, **changes: Any) -> AgentRun:
    """Make a run whose executor has not been heard of for a minute."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    lease = Lease(executor="gone", until=begun + timedelta(seconds=15))
    times = {"created_at": begun, "updated_at": begun, "started_at": begun, "lease": lease}
    return a_run(run_id, **{**times, "max_attempts": 3, **changes})


def handled(worker: ModuleType) -> list[str]:
    """Hand the queue's message to the function; return the ids of those that failed."""
    record = received(sqs_client_of(), QUEUE_URL)
    assert record is not None
    answer = worker.handler({"Records": [record]}, Context())
    if not answer["batchItemFailures"]:
        sqs_client_of().delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=record["receiptHandle"])
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_run_in_the_background_is_executed_to_its_end(worker: ModuleType) -> None:
    now = datetime.now(UTC)
    lease = Lease(executor="nobody", until=now)
    new = a_run("new", created_at=now, updated_at=now, lease=lease, max_attempts=3)
    key = stored(worker, new.in_background())
    assert handled(worker) == []
    run = worker.runs.store.get(key)
    assert (run.status, run.output, run.attempt) == (RunStatus.COMPLETED, "hello", 1)


def test_a_run_that_lost_its_executor_is_executed_again(worker: ModuleType) -> None:
    key = stored(worker, lost("lost", session_id="5f0a4c3e-8f3e-4d61-9d0c-2f1a7c9f0b12"))
    assert handled(worker) == []
    run = worker.runs.store.get(key)
    assert (run.status, run.output, run.attempt) == (RunStatus.COMPLETED, "hello", 2)


def test_a_message_for_a_run_that_is_gone_is_done(worker: ModuleType) -> None:
    worker.runs.queue.send(RunKey(tenant="acme", run_id="gone"))
    assert handled(worker) == []


def test_a_message_that_names_no_run_becomes_a_dead_letter(worker: ModuleType) -> None:
    record = run_record(json.dumps({"tenant": "acme"}))
    answer = worker.handler({"Records": [record]}, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
