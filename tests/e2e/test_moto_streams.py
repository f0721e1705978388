"""The stack's tables have streams as AWS's do, and its queues hold nobody up."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.machine.dynamodb import create_tables, start_moto_server
from agentrun_local.machine.moto_streams import KEPT_RECORDS
from agentrun_local.machine.queues_and_buckets import create_buckets, create_queues, local_client
from agentrun_local.template.resources import Queue, Table

TABLE = Table(
    "t",
    {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    },
    None,
)
pytestmark = pytest.mark.anyio


@pytest.fixture
async def url(anyio_backend: str) -> AsyncIterator[str]:
    async with ProcessSupervisor() as supervisor:
        url = await start_moto_server(supervisor, print)
        create_tables(url, [TABLE])
        yield url


@pytest.fixture
async def dynamodb(url: str) -> AsyncIterator[Any]:
    client = local_client("dynamodb", url)
    yield client
    client.close()


@pytest.fixture
async def streams(url: str) -> AsyncIterator[Any]:
    client = local_client("dynamodbstreams", url)
    yield client
    client.close()


def put(pk: str, **more: Any) -> Any:
    return {"Put": {"TableName": "t", "Item": {"pk": {"S": pk}}, **more}}


def iterator(dynamodb: Any, streams: Any) -> str:
    arn = dynamodb.describe_table(TableName="t")["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    found: str = streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    return found


def recorded(dynamodb: Any, streams: Any) -> list[tuple[str, str]]:
    records = streams.get_records(ShardIterator=iterator(dynamodb, streams))["Records"]
    return [(one["eventName"], one["dynamodb"]["Keys"]["pk"]["S"]) for one in records]


async def test_a_transaction_that_fails_leaves_no_record(dynamodb: Any, streams: Any) -> None:
    dynamodb.transact_write_items(TransactItems=[put("one"), put("two")])
    taken = put("one", ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(TransactItems=[put("three"), taken])
    dynamodb.put_item(TableName="t", Item={"pk": {"S": "four"}})
    assert recorded(dynamodb, streams) == [("INSERT", "one"), ("INSERT", "two"), ("INSERT", "four")]


async def test_a_write_that_changes_nothing_leaves_no_record(dynamodb: Any, streams: Any) -> None:
    for value in ("a", "a", "b"):
        dynamodb.put_item(TableName="t", Item={"pk": {"S": "one"}, "v": {"S": value}})
    dynamodb.delete_item(TableName="t", Key={"pk": {"S": "one"}})
    dynamodb.delete_item(TableName="t", Key={"pk": {"S": "one"}})
    told = [kind for kind, _ in recorded(dynamodb, streams)]
    assert told == ["INSERT", "MODIFY", "REMOVE"]


async def test_old_records_are_forgotten_and_a_reader_goes_on(dynamodb: Any, streams: Any) -> None:
    begun = iterator(dynamodb, streams)
    for first in range(0, KEPT_RECORDS + 25, 25):
        items = [{"PutRequest": {"Item": {"pk": {"S": str(first + n)}}}} for n in range(25)]
        dynamodb.batch_write_item(RequestItems={"t": items})
    page = streams.get_records(ShardIterator=begun, Limit=1)
    assert page["Records"][0]["dynamodb"]["Keys"] == {"pk": {"S": "25"}}
    page = streams.get_records(ShardIterator=page["NextShardIterator"], Limit=1)
    assert page["Records"][0]["dynamodb"]["Keys"] == {"pk": {"S": "26"}}


async def test_who_waits_for_a_message_holds_up_nobody(url: str, dynamodb: Any) -> None:
    queue = Queue("https://sqs.eu-west-1.amazonaws.com/123456789012/q", {})
    for _ in "twice":
        create_queues(url, [queue])
        create_buckets(url, ["bucket"])
    sqs = local_client("sqs", url, read_timeout_s=30)
    got: list[str] = []

    def wait() -> None:
        answer = sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20)
        got.extend(message["Body"] for message in answer.get("Messages", []))

    waiting = threading.Thread(target=wait)
    waiting.start()
    # Each of them would come after the 20 s, and the client waits for 10 s.
    for number in range(5):
        dynamodb.put_item(TableName="t", Item={"pk": {"S": str(number)}})
    sqs.send_message(QueueUrl=queue.url, MessageBody="hello")
    waiting.join(10)
    assert got == ["hello"]
    sqs.close()
