"""What the DynamoDB adapter makes of partial answers, lost replies and refusals."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from agentrun.adapters.dynamo_batch import BatchReader
from agentrun.adapters.dynamo_items import ENDED_HEADER_BYTES, RUNNING_HEADER_BYTES, size_bytes
from agentrun.adapters.dynamo_run_store import DynamoRunStore
from agentrun.domain.errors import FencedError, StoreUnavailableError
from agentrun.domain.runs import RunKey, RunStatus
from tests.runs import AT, EXECUTOR, a_request, a_run, completed
from tests.tables import TABLE, client_of, create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        client = client_of()
        create_table(client)
        yield client


class Elapsing:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_s += seconds


def leave_unprocessed(client: "DynamoDBClient", *, of_each_answer: int, times: int) -> list[int]:
    """Make BatchGetItem leave this many keys of each answer unprocessed, this often."""
    calls: list[int] = []

    def edit(parsed: dict[str, Any], **_: Any) -> None:
        calls.append(len(parsed["Responses"].get(TABLE, [])))
        if len(calls) <= times:
            items = parsed["Responses"][TABLE]
            left = [items.pop() for _ in range(of_each_answer)]
            keys = [{"pk": item["pk"], "sk": item["sk"]} for item in left]
            parsed["UnprocessedKeys"] = {TABLE: {"Keys": keys}}

    client.meta.events.register("after-call.dynamodb.BatchGetItem", edit)
    return calls


def lose_reply(client: "DynamoDBClient", operation: str) -> None:
    """Apply the operation's next call, but time out on its reply."""
    lost: list[str] = []

    def time_out(**_: Any) -> None:
        if not lost:
            lost.append(operation)
            raise ReadTimeoutError(endpoint_url="dynamodb")

    client.meta.events.register(f"after-call.dynamodb.{operation}", time_out)


def keys_of_started_runs(store: DynamoRunStore, count: int) -> list[RunKey]:
    runs = [a_run(f"run-{number}") for number in range(count)]
    for run in runs:
        store.start(run, a_request())
    return [run.key for run in runs]


def test_unprocessed_keys_are_asked_for_again_after_a_pause(client: "DynamoDBClient") -> None:
    time = Elapsing()
    batch = BatchReader(client, TABLE, sleep=time.sleep, monotonic=time.monotonic)
    store = DynamoRunStore(client, TABLE, batch=batch)
    keys = keys_of_started_runs(store, 9)
    calls = leave_unprocessed(client, of_each_answer=2, times=2)
    assert set(store.get_many(keys, with_text=True)) == set(keys)
    assert calls == [9, 2, 2]
    assert len(time.sleeps) == 2


def test_keys_that_stay_unprocessed_are_an_error_never_a_shorter_list(
    client: "DynamoDBClient",
) -> None:
    time = Elapsing()
    batch = BatchReader(client, TABLE, sleep=time.sleep, monotonic=time.monotonic)
    store = DynamoRunStore(client, TABLE, batch=batch)
    keys = keys_of_started_runs(store, 3)
    leave_unprocessed(client, of_each_answer=1, times=10_000)
    with pytest.raises(StoreUnavailableError):
        store.get_many(keys, with_text=True)
    assert time.now_s <= 4.0


def test_a_hundred_runs_are_one_call(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(client, TABLE)
    keys = keys_of_started_runs(store, 100)
    calls = leave_unprocessed(client, of_each_answer=0, times=0)
    assert len(store.get_many(keys, with_text=True)) == 100
    assert calls == [100]


def test_a_start_whose_reply_was_lost_does_not_make_two(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(client, TABLE)
    lose_reply(client, "TransactWriteItems")
    with pytest.raises(StoreUnavailableError):
        store.start(a_run(), a_request())
    store.start(a_run(), a_request())
    headers = [i for i in client.scan(TableName=TABLE)["Items"] if i["sk"]["S"] == "RUN"]
    assert len(headers) == 1


def test_an_end_whose_reply_was_lost_is_recognised_as_ones_own(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(client, TABLE)
    store.start(a_run(), a_request())
    lose_reply(client, "UpdateItem")
    with pytest.raises(StoreUnavailableError):
        store.finish(a_run().key, EXECUTOR, completed(), at=AT)
    assert store.finish(a_run().key, EXECUTOR, completed(), at=AT).status is RunStatus.COMPLETED
    assert store.get(a_run().key).version == 2


def test_throttling_is_unavailability_and_a_refusal_is_not(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(client, "no-such-table")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        store.get(a_run().key)

    def throttle(**_: Any) -> None:
        error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise ClientError(error, "GetItem")  # type: ignore[arg-type] # the rest is optional

    client.meta.events.register("after-call.dynamodb.GetItem", throttle)
    with pytest.raises(StoreUnavailableError):
        store.get(a_run().key)


def test_a_run_that_is_gone_cannot_be_renewed(client: "DynamoDBClient") -> None:
    with pytest.raises(FencedError):
        DynamoRunStore(client, TABLE).heartbeat(a_run().key, EXECUTOR, lease_until=AT)


@pytest.mark.parametrize(
    "message", ["hi", "words that repeat " * 5_000, "".join(map(chr, range(33, 9000)))]
)
def test_a_header_stays_small_while_running_and_at_its_end(
    client: "DynamoDBClient", message: str
) -> None:
    store = DynamoRunStore(client, TABLE)
    run = a_run(id="r" * 36, model="bedrock:eu.anthropic.claude-sonnet-4-5-20250929-v1:0")
    run = run.model_copy(update={"input": message, "user_id": "u" * 64, "org_id": "o" * 64})
    store.start(run, a_request(message))
    assert size_bytes(store.read_header(run.key)) <= RUNNING_HEADER_BYTES
    store.finish(run.key, EXECUTOR, completed(message), at=AT)
    assert size_bytes(store.read_header(run.key)) <= ENDED_HEADER_BYTES
    assert store.get(run.key).output == message
