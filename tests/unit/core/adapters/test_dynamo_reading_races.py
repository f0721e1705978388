"""Readers of the table between whose calls somebody writes: state and texts belong together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.service.ports import RunPorts
from agentrun.service.reading.runs import get_run, get_runs
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.runs import AT, EXECUTOR, a_request, a_run, completed
from tests.tables import TABLE, client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ANA = Principal(tenant="acme", user_id="ana", scopes=frozenset({"runs:read"}))
KEY = a_run().key
LONG = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(9_000))
"""An answer that lies beside its header."""
READS = ["one", "many"]


@pytest.fixture(autouse=True)
def _started(client: "DynamoDBClient") -> None:
    DynamoRunStore(Table(client, TABLE)).start(a_run(), a_request())


def before_the_next(client: "DynamoDBClient", operation: str, act: Callable[[], object]) -> None:
    """Do something right before the client's next call of an operation."""
    pending = [act]

    def hook(**_: Any) -> None:
        if pending:
            pending.pop()()

    client.meta.events.register(f"provide-client-params.dynamodb.{operation}", hook)


def read(client: "DynamoDBClient", how: str) -> list[AgentRun]:
    """Read the run a while after its lease has lapsed."""
    with ThreadPoolExecutor(2) as threads:
        log, clock = DynamoEventLog(Table(client, TABLE)), FixedClock(AT + timedelta(seconds=18))
        table = Table(client, TABLE)
        journal, queue = DynamoRunJournal(table), InMemoryRunQueue()
        ports = RunPorts(DynamoRunStore(table), log, journal, queue, threads, clock)
        if how == "one":
            return [get_run(ANA, "echo", "run-1", ports=ports)]
        return get_runs(ANA, "echo", ["run-1"], with_text=True, ports=ports)


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("answer", ["short", LONG], ids=["in the header", "beside it"])
@pytest.mark.parametrize("call", ["Query", "UpdateItem"])
def test_a_run_that_ends_before_its_repair_is_told_with_its_output(
    client: "DynamoDBClient", how: str, answer: str, call: str
) -> None:
    def finish() -> None:
        elsewhere = DynamoRunStore(Table(client_of(), TABLE))
        elsewhere.finish(KEY, EXECUTOR, completed(answer), at=AT)

    before_the_next(client, call, finish)
    (told,) = read(client, how)
    assert told.status is RunStatus.COMPLETED
    assert told.output is not None
    assert answer.startswith(told.output)
    assert told.output == answer or told.output_truncated


def finished(client: "DynamoDBClient") -> DynamoRunStore:
    store = DynamoRunStore(Table(client, TABLE))
    store.finish(KEY, EXECUTOR, completed(LONG), at=AT)
    return store


def test_a_chunk_that_a_lagging_read_misses_is_read_again(client: "DynamoDBClient") -> None:
    store = finished(client)

    def lag(parsed: dict[str, Any], **_: Any) -> None:
        found = parsed["Responses"][TABLE]
        if is_consistent[-1] is False:
            found[:] = [item for item in found if not item["sk"]["S"].startswith("OUT")]

    is_consistent: list[bool] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        is_consistent.append(params["RequestItems"][TABLE]["ConsistentRead"])

    client.meta.events.register("provide-client-params.dynamodb.BatchGetItem", note)
    client.meta.events.register("after-call.dynamodb.BatchGetItem", lag)
    run = store.get_many([KEY], with_text=True)[KEY]
    assert run.output
    assert LONG.startswith(run.output)
    assert is_consistent == [False, False, True]


def test_a_run_whose_chunks_are_gone_is_deleted(client: "DynamoDBClient") -> None:
    store = finished(client)
    for item in client.scan(TableName=TABLE)["Items"]:
        if item["sk"]["S"].startswith("OUT"):
            client.delete_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})
    assert store.get_many([KEY], with_text=True) == {}
    assert store.get_many([KEY], with_text=False)[KEY].status is RunStatus.COMPLETED


def test_a_batch_of_short_texts_is_one_call(client: "DynamoDBClient") -> None:
    calls: list[str] = []
    client.meta.events.register(
        "provide-client-params.dynamodb", lambda model, **_: calls.append(model.name)
    )
    assert len(read_now(client)) == 1
    assert calls == ["BatchGetItem"]


def read_now(client: "DynamoDBClient") -> dict[Any, AgentRun]:
    return DynamoRunStore(Table(client, TABLE)).get_many([KEY], with_text=True)
