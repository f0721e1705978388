"""The stack's DynamoDB keeps its word when several write at once."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from agentrun_local.errors import LocalStackError
from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.machine.dynamodb import create_tables, start_moto_server
from agentrun_local.template.resources import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITERS = 24
TABLE = Table(
    "t",
    {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    },
    "ttl",
)
IF_NEW = {"ConditionExpression": "attribute_not_exists(pk)"}
pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator["DynamoDBClient"]:
    async with ProcessSupervisor() as supervisor:
        url = await start_moto_server(supervisor, print)
        for _ in "twice":
            create_tables(url, [TABLE], region="us-east-1")
        config = Config(max_pool_connections=WRITERS, retries={"total_max_attempts": 1})
        client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", config=config)
        yield client
        client.close()


def put(pk: str, **more: Any) -> Any:
    return {"Put": {"TableName": "t", "Item": {"pk": {"S": pk}, "sk": {"S": "x"}}, **more}}


def count(client: "DynamoDBClient") -> int:
    return client.scan(TableName="t", Select="COUNT")["Count"]


async def test_of_many_transactions_for_one_item_one_wins_and_the_others_leave_no_trace(
    client: "DynamoDBClient",
) -> None:
    def transact(number: int) -> bool:
        try:
            client.transact_write_items(TransactItems=[put(str(number)), put("one", **IF_NEW)])
        except client.exceptions.TransactionCanceledException:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as writers:
        won = list(writers.map(transact, range(WRITERS)))
    assert won.count(True) == 1
    assert count(client) == 2


async def test_a_cancelled_transaction_undoes_its_updates_too(client: "DynamoDBClient") -> None:
    client.transact_write_items(TransactItems=[put("one"), put("two")])
    update: Any = {
        "Update": {
            "TableName": "t",
            "Key": {"pk": {"S": "one"}, "sk": {"S": "x"}},
            "UpdateExpression": "SET v = :v",
            "ExpressionAttributeValues": {":v": {"S": "changed"}},
        }
    }
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[update, put("three"), put("two", **IF_NEW)])
    item = client.get_item(TableName="t", Key=update["Update"]["Key"])["Item"]
    assert "v" not in item
    assert count(client) == 2


async def test_the_table_has_its_time_to_live(client: "DynamoDBClient") -> None:
    described = client.describe_time_to_live(TableName="t")["TimeToLiveDescription"]
    assert described["TimeToLiveStatus"] == "ENABLED"
    assert described["AttributeName"] == "ttl"


async def test_a_url_where_nothing_answers_is_named() -> None:
    with pytest.raises(LocalStackError, match=r"No DynamoDB answers at http://127\.0\.0\.1:9"):
        create_tables("http://127.0.0.1:9", [TABLE])
