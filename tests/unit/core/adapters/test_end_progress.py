"""An end of several MiB gets through a store that takes little at a time: what is stored counts."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.endings import Outcome
from agentrun.domain.runs import RunStatus
from agentrun.domain.turns import Checkpoint
from agentrun.service.executing.bounds import OwnLease
from agentrun.service.executing.recorder import RecordingPace, RunRecorder
from agentrun.service.ports import RunPorts
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, paused
from tests.tables import TABLE
from tests.unit.core.adapters.written_turns import letters

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.anyio

KEY = a_run().key
AT_ONCE = RecordingPace(retry_pause_s=0)
PATIENCE = timedelta(minutes=1)
LONG = letters(4_000_000)


class ThrottledPartition:
    """Takes so many chunks, then throttles one call, and so on; notes the places written to."""

    MOST_CALLS = 100

    def __init__(self, client: "DynamoDBClient", chunks: int) -> None:
        self.written: list[str] = []
        self._chunks = self._left = chunks
        client.meta.events.register("before-parameter-build.dynamodb.PutItem", self._meet)

    def _meet(self, params: dict[str, Any], **_: Any) -> None:
        sort_key = params["Item"]["sk"]["S"]
        if sort_key.startswith("EV#"):
            return
        assert len(self.written) < self.MOST_CALLS, "the end never fits"
        if not self._left:
            self._left = self._chunks
            code = "ProvisionedThroughputExceededException"
            raise ClientError({"Error": {"Code": code}}, "PutItem")
        self._left -= 1
        self.written.append(sort_key)


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoRunStore:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run(), a_request())
    return store


@pytest.fixture
def recorder(client: "DynamoDBClient", store: DynamoRunStore) -> Iterator[RunRecorder]:
    with ThreadPoolExecutor(1) as threads:
        clock, run = FixedClock(), a_run()
        table = Table(client, TABLE)
        journal, queue = DynamoRunJournal(table), InMemoryRunQueue()
        ports = RunPorts(store, DynamoEventLog(table), journal, queue, threads, clock)
        assert run.lease is not None
        lease = OwnLease(run.lease, clock)
        yield RunRecorder(run, EXECUTOR, ports=ports, pace=AT_ONCE, lease=lease)


@pytest.mark.parametrize(
    "outcome",
    [
        completed(LONG, messages=letters(900_000, seed=1)),
        paused(checkpoint=Checkpoint(request=a_request(), state=LONG)),
    ],
    ids=["answer", "pause"],
)
async def test_what_is_stored_of_an_end_is_not_written_again(
    client: "DynamoDBClient", store: DynamoRunStore, recorder: RunRecorder, outcome: Outcome
) -> None:
    partition = ThrottledPartition(client, chunks=2)
    await recorder.finish(outcome, at=AT, give_up_after=PATIENCE)
    assert len(partition.written) == len(set(partition.written)) > 4
    run = store.get(KEY)
    assert (run.status, run.output) == (outcome.status, outcome.output)
    if run.status is RunStatus.PAUSED:
        assert store.checkpoint(KEY).state == LONG


async def test_a_copy_of_an_earlier_ends_chunk_does_not_replace_a_later_ends(
    client: "DynamoDBClient", store: DynamoRunStore, recorder: RunRecorder
) -> None:
    puts: list[Any] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb.PutItem", lambda params, **_: puts.append(dict(params))
    )
    client.meta.events.register("before-call.dynamodb.UpdateItem", fail_once())
    with pytest.raises(ValueError, match="unforeseen"):
        await recorder.finish(completed(letters(30_000)), at=AT, give_up_after=PATIENCE)
    later = completed(letters(30_000, seed=1))
    await recorder.finish(later, at=AT, give_up_after=PATIENCE)
    refused = 0
    for put in puts[:2]:
        try:
            client.put_item(**put)
        except client.exceptions.ConditionalCheckFailedException:
            refused += 1
    assert refused == 2
    assert store.get(KEY).output == later.output


def fail_once() -> Callable[..., None]:
    failures = [ValueError("unforeseen")]

    def fail(**_: Any) -> None:
        if failures:
            raise failures.pop()

    return fail


async def test_a_chunk_that_is_kept_ahead_is_not_written_again(
    client: "DynamoDBClient", store: DynamoRunStore, recorder: RunRecorder
) -> None:
    partition = ThrottledPartition(client, chunks=100)
    outcome = completed(letters(30_000))
    await recorder.finish(outcome, at=AT, give_up_after=PATIENCE)
    assert len(partition.written) == len(set(partition.written)) == 2
    assert store.get(KEY).output == outcome.output
