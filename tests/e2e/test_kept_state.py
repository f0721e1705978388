"""What the stack's DynamoDB, SQS and S3 hold outlives a kill of their process."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentrun_local.errors import LocalStackError
from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.machine.dynamodb import create_tables, start_moto_server
from agentrun_local.machine.queues_and_buckets import create_buckets, create_queues, local_client
from agentrun_local.template.resources import Queue
from tests.e2e.test_moto_process import IF_NEW, TABLE, put

pytestmark = pytest.mark.anyio

REGION = "us-east-1"
QUEUE = Queue("queue", {"VisibilityTimeout": "30"})
EVERY_TYPE: dict[str, Any] = {
    "s": {"S": 'ä\x00 "quoted"'},
    "n": {"N": "12345678901234567890.5"},
    "b": {"B": b"\x00\xff"},
    "flag": {"BOOL": False},
    "nothing": {"NULL": True},
    "names": {"SS": ["b", "a"]},
    "numbers": {"NS": ["1", "2"]},
    "blobs": {"BS": [b"\x01", b"\x02"]},
    "list": {"L": [{"S": "x"}, {"M": {"in": {"B": b"\x03"}}}]},
    "map": {"M": {"empty": {"M": {}}, "deep": {"L": [{"N": "1"}]}}},
}


@dataclass
class Services:
    """Clients of one process."""

    tables: Any
    queues: Any
    buckets: Any


@asynccontextmanager
async def services(state: Path) -> AsyncIterator[Services]:
    """Run a process that is killed at the end, and create in it what a stack creates."""
    async with ProcessSupervisor() as supervisor:
        url = await start_moto_server(supervisor, print, state=state)
        create_tables(url, [TABLE], region=REGION)
        create_queues(url, [QUEUE], region=REGION)
        create_buckets(url, ["bucket"], region=REGION)
        made = [local_client(name, url, region=REGION) for name in ("dynamodb", "sqs", "s3")]
        *_, pid = supervisor.pids
        yield Services(*made)
        os.kill(pid, signal.SIGKILL)
        for client in made:
            client.close()


def key(pk: str) -> dict[str, Any]:
    return {"TableName": "t", "Key": {"pk": {"S": pk}, "sk": {"S": "x"}}}


def items(found: Services) -> dict[str, Any]:
    return {item["pk"]["S"]: item for item in found.tables.scan(TableName="t")["Items"]}


def queue_url(found: Services) -> str:
    url: str = found.queues.get_queue_url(QueueName="queue")["QueueUrl"]
    return url


async def test_items_are_as_they_were_written(tmp_path: Path) -> None:
    async with services(tmp_path / "state") as first:
        write = first.tables
        for name in ("put", "updated", "deleted"):
            write.put_item(**put(name)["Put"])
        write.put_item(TableName="t", Item={**key("types")["Key"], **EVERY_TYPE})
        update = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
        write.update_item(**key("updated"), **update)
        write.update_item(**key("made by an update"), **update)
        write.delete_item(**key("deleted"))
        write.batch_write_item(
            RequestItems={"t": [{"PutRequest": {"Item": put("batch")["Put"]["Item"]}}]}
        )
        write.transact_write_items(TransactItems=[put("part"), {"Delete": key("put")}])
        with pytest.raises(write.exceptions.TransactionCanceledException):
            write.transact_write_items(TransactItems=[put("undone"), put("part", **IF_NEW)])
        before = items(first)
    async with services(tmp_path / "state") as second:
        assert items(second) == before
        assert before.keys() == {"updated", "types", "made by an update", "batch", "part"}
        assert set(before["types"]["names"]["SS"]) == {"a", "b"}
        assert before["types"]["b"] == {"B": b"\x00\xff"}


async def test_an_update_of_a_kept_item_returns_the_bytes_that_were_written(
    tmp_path: Path,
) -> None:
    update = {"UpdateExpression": "SET more = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    async with services(tmp_path / "state") as first:
        first.tables.put_item(TableName="t", Item={**key("types")["Key"], **EVERY_TYPE})
    for _ in range(2):
        async with services(tmp_path / "state") as later:
            updated = later.tables.update_item(**key("types"), **update, ReturnValues="ALL_NEW")
            assert {name: updated["Attributes"][name] for name in ("b", "blobs", "list")} == {
                name: EVERY_TYPE[name] for name in ("b", "blobs", "list")
            }
            assert updated["Attributes"] == items(later)["types"]


async def test_messages_wait_on_and_received_ones_come_again(tmp_path: Path) -> None:
    async with services(tmp_path / "state") as first:
        url = queue_url(first)
        for body in ("done", "received", "waiting"):
            first.queues.send_message(QueueUrl=url, MessageBody=body)
        first.queues.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
        for _ in range(2):
            (message,) = first.queues.receive_message(QueueUrl=url)["Messages"]
            if message["Body"] == "done":
                handle = message["ReceiptHandle"]
                first.queues.delete_message(QueueUrl=url, ReceiptHandle=handle)
    async with services(tmp_path / "state") as second:
        received = second.queues.receive_message(
            QueueUrl=queue_url(second), MaxNumberOfMessages=10, AttributeNames=["All"]
        )["Messages"]
        counts = {
            message["Body"]: message["Attributes"]["ApproximateReceiveCount"]
            for message in received
        }
        assert counts == {"received": "2", "waiting": "1"}


async def test_objects_are_there_until_they_are_deleted(tmp_path: Path) -> None:
    async with services(tmp_path / "state") as first:
        for name in ("a/kept ä", "a/again", "a/deleted", "a/deleted with others"):
            first.buckets.put_object(Bucket="bucket", Key=name, Body=b"\x00first")
        first.buckets.put_object(Bucket="bucket", Key="a/again", Body=b"second")
        first.buckets.delete_object(Bucket="bucket", Key="a/deleted")
        first.buckets.delete_objects(
            Bucket="bucket", Delete={"Objects": [{"Key": "a/deleted with others"}]}
        )
    async with services(tmp_path / "state") as second:
        found = second.buckets.list_objects_v2(Bucket="bucket")["Contents"]
        bodies = {
            one["Key"]: second.buckets.get_object(Bucket="bucket", Key=one["Key"])["Body"].read()
            for one in found
        }
        assert bodies == {"a/kept ä": b"\x00first", "a/again": b"second"}
        second.buckets.delete_object(Bucket="bucket", Key="a/again")
    async with services(tmp_path / "state") as third:
        (left,) = third.buckets.list_objects_v2(Bucket="bucket")["Contents"]
        assert left["Key"] == "a/kept ä"


async def test_a_file_that_another_stack_uses_is_refused(tmp_path: Path) -> None:
    async with services(tmp_path / "state"), ProcessSupervisor() as supervisor:
        with pytest.raises(LocalStackError, match="in use by another stack"):
            await start_moto_server(supervisor, print, state=tmp_path / "state")


async def test_a_file_that_holds_no_state_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a letter, longer than the head of a database " * 9)
    async with ProcessSupervisor() as supervisor:
        with pytest.raises(LocalStackError, match="holds no state"):
            await start_moto_server(supervisor, print, state=tmp_path / "state")
    assert (tmp_path / "state").read_text().startswith("a letter")
