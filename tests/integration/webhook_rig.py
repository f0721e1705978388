"""The webhook function with a table that streams, a queue and its dead letters, all in process."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import boto3
from moto import mock_aws

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.requests import Webhook
from agentrun.domain.runs import AgentRun
from agentrun.domain.webhooks import MOST_TRIES
from tests.integration.conftest import deployment
from tests.runs import AT, a_request, a_run
from tests.tables import TABLE, client_of
from tests.translated_template import properties

SECRET = "whsec_" + b64encode(b"the first key, of 32 bytes......").decode()
OLD_SECRET = "whsec_" + b64encode(b"the key before, of 32 bytes.....").decode()
Record = dict[str, Any]


def aws(service: str) -> Any:
    """Build a client of the stand-in in this process."""
    # The stubs know the services by their literal names.
    build: Any = boto3.client
    return build(
        service,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


class WebhookRig:
    """
    Does what Lambda's event source mappings do, one step at a time.

    `pauses` are those that the function has asked for; none of them is waited for.
    """

    def __init__(self, function: ModuleType, queue_url: str, dead_letters_url: str) -> None:
        self.function = function
        self.pauses: list[int] = []
        self.store = DynamoRunStore(Table(client_of(), TABLE))
        self._sqs, self._streams = aws("sqs"), aws("dynamodbstreams")
        self._queue_url, self._dead_letters_url = queue_url, dead_letters_url
        self._iterator = self._at_the_beginning()
        function.sqs.meta.events.register(
            "provide-client-params.sqs.ChangeMessageVisibility", self._no_pause
        )

    def start(self, url: str, run_id: str = "run-1", **webhook: Any) -> AgentRun:
        """Store a run that is executed, with a webhook."""
        told = Webhook(url=url, **webhook)
        run = a_run(run_id, session_id=f"session-of-{run_id}", webhook=told)
        self.store.start(run, a_request())
        return run

    def end(self, run: AgentRun, outcome: Any) -> None:
        """Write how a run has ended, or paused."""
        assert run.lease is not None
        self.store.finish(run.key, run.lease.executor, outcome, at=AT)

    def streamed(self) -> list[Record]:
        """Return what the mapping of the table's stream would hand over since the last time."""
        answer = self._streams.get_records(ShardIterator=self._iterator)
        self._iterator = answer["NextShardIterator"]
        records = [as_lambda_writes(record) for record in answer["Records"]]
        return [record for record in records if matches(record)]

    def announce(self, records: list[Record]) -> list[str]:
        """Hand records of the stream over; return the numbers of those that failed."""
        return self._invoke(records) if records else []

    def receive(self) -> list[Record]:
        """Return what the mapping of the queue would hand over."""
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
        )
        return [as_lambda_hands_over(message) for message in answer.get("Messages", [])]

    def deliver(self, records: list[Record] | None = None) -> int:
        """Hand messages over, and delete those that did not fail; return how many there were."""
        records = self.receive() if records is None else records
        failed = self._invoke(records) if records else []
        for record in records:
            if record["messageId"] not in failed:
                self._sqs.delete_message(
                    QueueUrl=self._queue_url, ReceiptHandle=record["receiptHandle"]
                )
        return len(records)

    def deliver_until_quiet(self) -> int:
        """Deliver until the queue is empty; return how many messages were handed over."""
        return sum(iter(self.deliver, 0))

    def dead_letters(self) -> list[str]:
        """Take the dead letters."""
        found = []
        while messages := self._sqs.receive_message(
            QueueUrl=self._dead_letters_url, MaxNumberOfMessages=10
        ).get("Messages"):
            found += [message["Body"] for message in messages]
            for message in messages:
                self._sqs.delete_message(
                    QueueUrl=self._dead_letters_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return found

    def send_again(self, letters: list[str]) -> None:
        """Put dead letters back into the queue, as a redrive does."""
        for letter in letters:
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=letter)

    def _invoke(self, records: list[Record]) -> list[str]:
        # Lambda writes and reads JSON.
        event = json.loads(json.dumps({"Records": records}))
        answer = self.function.handler(event, None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def _no_pause(self, params: dict[str, Any], **_: Any) -> None:
        self.pauses.append(params["VisibilityTimeout"])
        params["VisibilityTimeout"] = 0

    def _at_the_beginning(self) -> str:
        (stream,) = self._streams.list_streams(TableName=TABLE)["Streams"]
        arn = stream["StreamArn"]
        said = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]
        iterator: str = self._streams.get_shard_iterator(
            StreamArn=arn,
            ShardId=said["Shards"][0]["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        return iterator


def as_lambda_writes(record: Mapping[str, Any]) -> Record:
    """Write a stream's record as Lambda's JSON has it: numbers as text, bytes as base64."""
    said = record["dynamodb"]
    images = {name: said[name] for name in ("Keys", "NewImage", "OldImage") if name in said}
    return {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            **{name: _plain(image) for name, image in images.items()},
            "SequenceNumber": said["SequenceNumber"],
            "StreamViewType": said["StreamViewType"],
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def as_lambda_hands_over(message: Mapping[str, Any]) -> Record:
    """Write a received message as Lambda's event has it."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "eventSource": "aws:sqs",
    }


def matches(record: Record) -> bool:
    """Tell whether the template's filter lets a record through."""
    filters = properties("WebhookStreamMapping")["FilterCriteria"]["Filters"]
    return any(_holds(json.loads(one["Pattern"]), record) for one in filters)


def _holds(pattern: Any, value: Any) -> bool:
    if isinstance(pattern, dict):
        return all(name in value and _holds(part, value[name]) for name, part in pattern.items())
    return any(rule in ({"exists": True}, value) for rule in pattern)


@contextmanager
def webhook_rig(**environment: str) -> Iterator[WebhookRig]:
    """Deploy the function with receivers on this machine allowed, and empty stand-ins."""
    with mock_aws():
        sqs = aws("sqs")
        letters = sqs.create_queue(QueueName="letters")["QueueUrl"]
        policy = {
            "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:letters",
            "maxReceiveCount": MOST_TRIES,
        }
        url = sqs.create_queue(
            QueueName="webhooks",
            Attributes={"VisibilityTimeout": "180", "RedrivePolicy": json.dumps(policy)},
        )["QueueUrl"]
        given = {
            "AGENTRUN_WEBHOOKS": "true",
            "AGENTRUN_WEBHOOK_LOOPBACK": "true",
            "AGENTRUN_WEBHOOK_SECRETS": f"{SECRET} {OLD_SECRET}",
            "AGENTRUN_WEBHOOK_QUEUE_URL": url,
            "AGENTRUN_WEBHOOK_DEAD_LETTERS_URL": letters,
            **environment,
        }
        with deployment(**given) as app_module:
            client_of().update_table(
                TableName=TABLE,
                StreamSpecification={
                    "StreamEnabled": True,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
            )
            yield WebhookRig(app_module("webhook"), url, letters)
