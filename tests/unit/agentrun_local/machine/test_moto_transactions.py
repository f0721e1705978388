"""A transaction that fails leaves a table of moto's as it was, whatever was copied for it."""

from typing import Any

import boto3
import pytest
from moto import mock_aws

from agentrun_local.machine.moto_transactions import copy_what_is_touched

KEY = {"pk": {"S": "one"}, "sk": {"S": "x"}}
NEIGHBOUR = {"pk": {"S": "one"}, "sk": {"S": "y"}, "n": {"N": "7"}}


@pytest.mark.parametrize("names", [("pk",), ("pk", "sk")], ids=["no sort key", "sort key"])
def test_a_cancelled_transaction_leaves_nothing(names: tuple[str, ...]) -> None:
    copy_what_is_touched()
    key: Any = {name: KEY[name] for name in names}
    kinds: Any = zip(names, ("HASH", "RANGE"), strict=False)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in kinds],
        )
        if "sk" in names:
            client.put_item(TableName="t", Item=NEIGHBOUR)
        client.put_item(TableName="t", Item={**key, "n": {"N": "1"}})
        before = client.scan(TableName="t")["Items"]
        count: Any = {"TableName": "t", "Key": key, "UpdateExpression": "ADD n :one"}
        count["ExpressionAttributeValues"] = {":one": {"N": "1"}}
        new = {"TableName": "t", "Item": {**key, "pk": {"S": "new"}}}
        never = {
            **new,
            "Item": {**key, "pk": {"S": "no"}},
            "ConditionExpression": "attribute_exists(pk)",
        }
        parts: Any = [{"Update": count}, {"Put": new}, {"Put": never}]
        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(TransactItems=parts)
        assert client.scan(TableName="t")["Items"] == before
        client.transact_write_items(TransactItems=parts[:2])
        assert len(client.scan(TableName="t")["Items"]) == len(before) + 1
        assert client.get_item(TableName="t", Key=key)["Item"]["n"] == {"N": "2"}
