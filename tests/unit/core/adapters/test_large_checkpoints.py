"""Checkpoints that are too large for the table, and those that lie in it as they always did."""

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentrun.adapters.dynamo.items import MOST_ITEM_BYTES
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.conversations import SessionLock
from agentrun.domain.endings import EndProgress, PausedForDecision
from agentrun.domain.errors import FencedError, RunNotFoundError, StoreUnavailableError
from agentrun.domain.runs import Lease
from agentrun.domain.turns import Checkpoint
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.runs import AT, EXECUTOR, a_request, a_run, paused
from tests.tables import TABLE
from tests.unit.core.adapters.written_turns import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = a_run().key
LATER = AT + timedelta(hours=1)
SECOND = Lease(executor="executor-2", until=LATER)


def a_pause(size: int, last_event_id: int = 5) -> PausedForDecision:
    """Return a pause whose checkpoint comes to about this size compressed."""
    state = random.Random(1).randbytes(size).hex()
    return paused(last_event_id, checkpoint=Checkpoint(request=a_request(), state=state))


LARGE, SMALL = a_pause(2 * MOST_ITEM_BYTES), a_pause(MOST_ITEM_BYTES // 2, last_event_id=9)


@pytest.fixture
def objects() -> InMemoryLargeObjects:
    return InMemoryLargeObjects()


@pytest.fixture
def store(client: "DynamoDBClient", objects: InMemoryLargeObjects) -> DynamoRunStore:
    started = DynamoRunStore(Table(client, TABLE), objects)
    started.start(a_run(), a_request())
    return started


def chunks(client: "DynamoDBClient") -> list[str]:
    keys = [item["sk"]["S"] for item in items(client)]
    return [key for key in keys if key.startswith("CKPT#")]


def test_a_large_checkpoint_lies_in_the_bucket(
    client: "DynamoDBClient", store: DynamoRunStore, objects: InMemoryLargeObjects
) -> None:
    store.finish(KEY, EXECUTOR, LARGE, at=AT)
    assert (chunks(client), list(objects.objects[KEY])) == ([], ["checkpoint/executor-1-0"])
    assert store.checkpoint(KEY) == LARGE.checkpoint


def test_the_next_pause_has_the_only_checkpoint(
    client: "DynamoDBClient", store: DynamoRunStore
) -> None:
    seen = store.finish(KEY, EXECUTOR, LARGE, at=AT)
    lock = SessionLock(active=KEY.run_id, active_by=EXECUTOR)
    store.resume(seen, SECOND, seen=lock, at=AT)
    assert store.checkpoint(KEY) == LARGE.checkpoint
    store.finish(KEY, SECOND.executor, SMALL, at=AT)
    assert len(chunks(client)) == 1
    assert store.checkpoint(KEY) == SMALL.checkpoint


def test_without_a_bucket_a_checkpoint_lies_in_the_table(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run(), a_request())
    store.finish(KEY, EXECUTOR, LARGE, at=AT)
    assert len(chunks(client)) == 2
    # One that has a bucket since reads it still.
    later = DynamoRunStore(Table(client, TABLE), InMemoryLargeObjects())
    assert later.checkpoint(KEY) == LARGE.checkpoint


def test_a_checkpoint_is_put_into_the_bucket_once(
    store: DynamoRunStore, objects: InMemoryLargeObjects
) -> None:
    progress, puts = EndProgress(), []
    objects.before("put", lambda *arguments: puts.append(arguments))
    store.keep_texts(KEY, EXECUTOR, LARGE, at=AT, progress=progress)
    assert len(puts) == 1
    store.finish(KEY, EXECUTOR, LARGE, at=AT, progress=progress)
    assert len(puts) == 1


def test_a_run_is_not_paused_whose_checkpoint_is_not_stored(
    store: DynamoRunStore, objects: InMemoryLargeObjects
) -> None:
    objects.fails("put", times=1)
    progress = EndProgress()
    with pytest.raises(StoreUnavailableError):
        store.finish(KEY, EXECUTOR, LARGE, at=AT, progress=progress)
    assert store.get_state(KEY) == a_run().without_texts()
    store.finish(KEY, EXECUTOR, LARGE, at=AT, progress=progress)
    assert store.checkpoint(KEY) == LARGE.checkpoint


def test_executors_do_not_overwrite_each_others_checkpoints(store: DynamoRunStore) -> None:
    store.finish(KEY, EXECUTOR, LARGE, at=AT)
    other = a_pause(2 * MOST_ITEM_BYTES + 2)
    with pytest.raises(FencedError):
        store.finish(KEY, "executor-9", other, at=AT)
    assert store.checkpoint(KEY) == LARGE.checkpoint


def test_a_checkpoint_that_has_gone_is_not_found(
    store: DynamoRunStore, objects: InMemoryLargeObjects
) -> None:
    store.finish(KEY, EXECUTOR, LARGE, at=AT)
    objects.delete(KEY)
    with pytest.raises(RunNotFoundError):
        store.checkpoint(KEY)
