"""Sessions whose queue is full of the dead: they are usable, and nothing grows with the past."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.headers import header_item
from agentrun.adapters.dynamo.items import lock_of, session_key
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.conversations import MAX_QUEUED, SessionLock, SessionPolicy
from agentrun.domain.errors import ConflictError, TooManyRunsError
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.service.ports import RunPorts
from agentrun.service.starting.session_queue import NewRun, store_or_queue
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, completed
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.anyio

DEAD = 120
"""More than may wait: an earlier version let in more, and nobody had them leave."""
MOST_ACTIONS = 100
"""Of one TransactWriteItems ("Quotas in Amazon DynamoDB", developer guide); moto takes more."""


@dataclass
class WaitersRig:
    """The adapter on a table that refuses what DynamoDB refuses, and what it was asked."""

    client: "DynamoDBClient"
    ports: RunPorts
    calls: list[str]
    actions: list[int]

    @property
    def store(self) -> DynamoRunStore:
        assert isinstance(self.ports.store, DynamoRunStore)
        return self.ports.store

    @property
    def lock(self) -> SessionLock:
        run = a_run()
        found = self.client.get_item(TableName=TABLE, Key=session_key(run.org_id, run.session_id))
        return lock_of(found.get("Item", {}))

    def status(self, run_id: str) -> RunStatus:
        return self.store.get_state(RunKey(tenant="acme", run_id=run_id)).status

    def note(self, params: Any, model: Any, **_: Any) -> None:
        self.calls.append(model.name)
        if model.name == "TransactWriteItems":
            self.actions.append(len(params["TransactItems"]))
            if self.actions[-1] > MOST_ACTIONS:
                refused: Any = {"Error": {"Code": "ValidationException", "Message": "too many"}}
                raise ClientError(refused, model.name)

    def leave_dead_waiters(self, count: int = DEAD) -> list[str]:
        """Store cancelled runs, and put them into the queue as if they had never left it."""
        ids = [f"dead-{number}" for number in range(count)]
        ended = [a_queued_run(run_id, status=RunStatus.CANCELLED) for run_id in ids]
        puts: list[Any] = [{"PutRequest": {"Item": header_item(run)}} for run in ended]
        for first in range(0, count, 25):
            self.client.batch_write_item(RequestItems={TABLE: puts[first : first + 25]})
        self.client.update_item(
            TableName=TABLE,
            Key=session_key("acme", a_run().session_id),
            UpdateExpression="SET #queue = :queue",
            ExpressionAttributeNames={"#queue": "queue"},
            ExpressionAttributeValues={":queue": {"L": [{"S": run_id} for run_id in ids]}},
        )
        self.calls.clear()
        self.actions.clear()
        return ids

    async def start(self, run: AgentRun, policy: SessionPolicy) -> AgentRun:
        stored_id, stored = await store_or_queue(
            NewRun(run, a_request()), policy=policy, ports=self.ports
        )
        assert stored_id == run.id
        return stored


@pytest.fixture
def rig(client: "DynamoDBClient") -> Iterator[WaitersRig]:
    with ThreadPoolExecutor(1) as threads:
        store, log = DynamoRunStore(Table(client, TABLE)), DynamoEventLog(Table(client, TABLE))
        journal, queue = DynamoRunJournal(Table(client, TABLE)), InMemoryRunQueue()
        ports = RunPorts(store, log, journal, queue, threads, FixedClock(AT))
        found = WaitersRig(client, ports, [], [])
        client.meta.events.register("provide-client-params.dynamodb", found.note)
        yield found


def new(run_id: str = "new") -> AgentRun:
    return a_run(run_id, lease=Lease(executor=f"of {run_id}", until=a_run().updated_at))


@pytest.mark.parametrize("policy", list(SessionPolicy))
async def test_a_session_with_120_dead_waiters_is_used_at_once(
    rig: WaitersRig, policy: SessionPolicy
) -> None:
    rig.store.start(a_run(), a_request())
    rig.store.finish(a_run().key, EXECUTOR, completed(), at=AT)
    rig.leave_dead_waiters()
    stored = await rig.start(new(), policy)
    assert stored.status is RunStatus.RUNNING
    assert (rig.lock.active, rig.lock.queue) == ("new", ())


@pytest.mark.parametrize("policy", [SessionPolicy.ENQUEUE, SessionPolicy.INTERRUPT])
async def test_who_queues_behind_a_live_run_takes_the_dead_out(
    rig: WaitersRig, policy: SessionPolicy
) -> None:
    rig.store.start(a_run(), a_request())
    rig.leave_dead_waiters()
    stored = await rig.start(new(), policy)
    assert stored.status is RunStatus.QUEUED
    assert (rig.lock.active, rig.lock.queue) == ("run-1", ("new",))


async def test_a_live_run_is_in_the_way_of_who_does_not_wait(rig: WaitersRig) -> None:
    rig.store.start(a_run(), a_request())
    rig.leave_dead_waiters()
    with pytest.raises(ConflictError, match="busy with the run 'run-1'"):
        await rig.start(new(), SessionPolicy.REJECT)


async def test_no_transaction_and_no_start_grows_with_the_dead(rig: WaitersRig) -> None:
    rig.store.start(a_run(), a_request())
    rig.store.finish(a_run().key, EXECUTOR, completed(), at=AT)
    rig.leave_dead_waiters()
    await rig.start(new(), SessionPolicy.REJECT)
    # Header, session, pointer, and the holder that has not let go.
    assert max(rig.actions) <= 4
    assert len(rig.calls) <= 10


async def test_only_the_living_count_towards_a_full_queue(rig: WaitersRig) -> None:
    rig.store.start(a_run(), a_request())
    rig.leave_dead_waiters(MAX_QUEUED)
    for number in range(2):
        await rig.start(new(f"new-{number}"), SessionPolicy.ENQUEUE)
    assert rig.lock.queue == ("new-0", "new-1")


async def test_a_queue_full_of_the_living_refuses(rig: WaitersRig) -> None:
    rig.store.start(a_run(), a_request())
    for number in range(MAX_QUEUED):
        rig.store.start(a_queued_run(f"queued-{number}"), a_request())
    with pytest.raises(TooManyRunsError):
        await rig.start(new(), SessionPolicy.ENQUEUE)
    assert len(rig.lock.queue) == MAX_QUEUED
