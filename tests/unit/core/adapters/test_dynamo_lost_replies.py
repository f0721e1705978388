"""Steps of a run that were applied although their caller saw a time-out: made again, they count."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from agentrun.adapters.dynamo.items import lock_of, session_key
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.errors import FencedError, StoreUnavailableError
from agentrun.domain.runs import Lease, RunStatus
from tests.runs import (
    AT,
    EXECUTOR,
    a_queued_run,
    a_request,
    a_run,
    completed,
    paused,
)
from tests.tables import TABLE, client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = AT + timedelta(seconds=9)
SECOND = Lease(executor="executor-2", until=LATER + timedelta(seconds=15))
KEY = a_run().key


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoRunStore:
    return DynamoRunStore(Table(client, TABLE))


def lose_next_reply(client: "DynamoDBClient", operation: str) -> None:
    """Apply the operation's next call, but time out on its reply."""
    lost: list[str] = []

    def time_out(**_: Any) -> None:
        if not lost:
            lost.append(operation)
            raise ReadTimeoutError(endpoint_url="dynamodb")

    client.meta.events.register(f"after-call.dynamodb.{operation}", time_out)


def lock(client: "DynamoDBClient") -> SessionLock:
    run = a_run()
    key = session_key(run.org_id, run.session_id)
    return lock_of(client.get_item(TableName=TABLE, Key=key).get("Item", {}))


def test_a_start_whose_reply_was_lost_does_not_make_two(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    lose_next_reply(client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        store.start(a_run(), a_request())
    store.start(a_run(), a_request())
    headers = [i for i in client.scan(TableName=TABLE)["Items"] if i["sk"]["S"] == "RUN"]
    assert len(headers) == 1


def test_an_end_whose_reply_was_lost_is_recognised_as_ones_own(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run(), a_request())
    lose_next_reply(client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        store.finish(a_run().key, EXECUTOR, completed(), at=AT)
    assert store.finish(a_run().key, EXECUTOR, completed(), at=AT).status is RunStatus.COMPLETED
    assert store.get(a_run().key).version == 2


def test_a_run_is_queued_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    lose_next_reply(client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        store.start(a_queued_run(), a_request())
    assert store.start(a_queued_run(), a_request()) == "run-2"
    assert lock(client) == SessionLock(queue=("run-2",))


def test_a_turn_is_taken_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    store.start(a_queued_run(), a_request())
    seen = lock(client)
    lose_next_reply(client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        store.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=LATER)
    taken = store.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=LATER + timedelta(seconds=1))
    assert (taken.status, taken.started_at, taken.version) == (RunStatus.RUNNING, LATER, 2)


def test_a_turn_that_was_taken_and_then_ended_is_over(
    client: "DynamoDBClient", store: DynamoRunStore
) -> None:
    store.start(a_queued_run(), a_request())
    seen = lock(client)
    taken = store.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=LATER)
    store.expire(taken, at=LATER)
    with pytest.raises(FencedError):
        store.begin_queued(a_queued_run(), EXECUTOR, seen=seen, at=LATER)


def test_a_pause_is_made_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    store.start(a_run(), a_request())
    lose_next_reply(client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        store.finish(KEY, EXECUTOR, paused(), at=LATER)
    again = store.finish(KEY, EXECUTOR, paused(), at=LATER)
    assert (again.status, again.version) == (RunStatus.PAUSED, 2)
    assert store.checkpoint(KEY) == paused().checkpoint


def test_a_pause_is_resumed_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    store.start(a_run(), a_request())
    seen = store.finish(KEY, EXECUTOR, paused(), at=LATER)
    store.release(a_run())
    lose_next_reply(client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        store.resume(seen, SECOND, seen=FREE, at=LATER)
    store.resume(seen, SECOND, seen=FREE, at=LATER)
    assert (store.get_state(KEY).version, store.get_state(KEY).lease) == (3, SECOND)


def test_a_pause_is_restored_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    store.start(a_run(), a_request())
    seen = store.finish(KEY, EXECUTOR, paused(), at=LATER)
    store.resume(seen, SECOND, seen=SessionLock(active="run-1", active_by=EXECUTOR), at=LATER)
    lose_next_reply(client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        store.restore_pause(KEY, SECOND.executor, at=LATER, paused_id=5)
    store.restore_pause(KEY, SECOND.executor, at=LATER, paused_id=5)
    assert (store.get_state(KEY).status, store.get_state(KEY).version) == (RunStatus.PAUSED, 4)


def test_a_waiting_run_is_cancelled_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    store.start(a_queued_run(), a_request())
    lose_next_reply(client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        store.request_cancel(a_queued_run().key, at=LATER)
    store.request_cancel(a_queued_run().key, at=LATER)
    state = store.get_state(a_queued_run().key)
    assert (state.status, state.last_event_id, state.version) == (RunStatus.CANCELLED, 2, 2)


def test_a_session_is_let_go_once(client: "DynamoDBClient", store: DynamoRunStore) -> None:
    store.start(a_run(), a_request())
    lose_next_reply(client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        store.release(a_run())
    assert lock(client) == FREE
    store.release(a_run())
    assert lock(client) == FREE


def test_a_run_that_changes_under_every_attempt_is_not_cancelled_for_ever(
    client: "DynamoDBClient", store: DynamoRunStore
) -> None:
    store.start(a_queued_run(), a_request())
    header = {"pk": {"S": "ORG#acme#RUN#run-2"}, "sk": {"S": "RUN"}}
    statuses = ["RUNNING", "QUEUED"] * 10

    def change(params: dict[str, Any], **_: Any) -> None:
        if ":seen" in params["ExpressionAttributeValues"]:
            other = client_of()
            other.update_item(
                TableName=TABLE,
                Key=header,
                UpdateExpression="SET #status = :new",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":new": {"S": statuses.pop(0)}},
            )

    client.meta.events.register("provide-client-params.dynamodb.UpdateItem", change)
    with pytest.raises(StoreUnavailableError):
        store.request_cancel(a_queued_run().key, at=LATER)
