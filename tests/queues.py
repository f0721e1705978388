"""The queue of runs on what stands for SQS, what Lambda makes of its messages, and a bucket."""

import json
import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

QUEUE = "runs"
QUEUE_URL = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{QUEUE}"
BUCKET = "runs"
VISIBILITY_S = 900


def sqs_client_of(endpoint_url: str | None = None) -> "SQSClient":
    """Build a client of a stand-in for SQS."""
    return boto3.client(
        "sqs",
        region_name="eu-west-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def create_queue(client: "SQSClient", name: str = QUEUE, **attributes: str) -> str:
    """Create a queue; return its URL."""
    given: Any = {"VisibilityTimeout": str(VISIBILITY_S), **attributes}
    return client.create_queue(QueueName=name, Attributes=given)["QueueUrl"]


def create_bucket(endpoint_url: str | None = None, name: str = BUCKET) -> None:
    """Create a bucket on a stand-in for S3."""
    where: Any = {"LocationConstraint": "eu-west-1"}
    with closing(
        boto3.client(
            "s3",
            region_name="eu-west-1",
            endpoint_url=endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
    ) as client:
        client.create_bucket(Bucket=name, CreateBucketConfiguration=where)


def received(client: "SQSClient", url: str, *, within_s: float = 0) -> dict[str, Any] | None:
    """Receive one message as the record that Lambda makes of it; None if none comes in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])
        if messages := answer.get("Messages", []):
            return record_of(messages[0])
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.02)


def record_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Write a received message as Lambda does (developer guide, "Using Lambda with Amazon SQS")."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{QUEUE}",
        "awsRegion": "eu-west-1",
    }


def run_record(body: object, **changes: Any) -> dict[str, Any]:
    """Make up a record without any queue."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": text,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
        **changes,
    }
