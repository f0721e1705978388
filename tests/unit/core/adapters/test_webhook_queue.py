"""Deliveries go through SQS as they are, whatever their size."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from agentrun.adapters.webhooks.queue import SqsQueuedDelivery, SqsWebhookQueue
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.webhooks import WebhookDelivery
from agentrun.service.webhooks.announcing import UnreadableError

ONE_TRY = Config(retries={"total_max_attempts": 1})


class Sqs:
    """A queue and its dead letters in this process."""

    def __init__(self) -> None:
        self.client = boto3.client("sqs", region_name="eu-west-1", config=ONE_TRY)
        self.urls = [self.client.create_queue(QueueName=name)["QueueUrl"] for name in ("q", "dead")]
        self.queue = SqsWebhookQueue(self.client, *self.urls)

    def received(self, which: int = 0) -> list[SqsQueuedDelivery]:
        answer = self.client.receive_message(
            QueueUrl=self.urls[which], MessageSystemAttributeNames=["All"], MaxNumberOfMessages=10
        )
        return [as_read(one) for one in answer.get("Messages", [])]


@pytest.fixture
def sqs() -> Iterator[Sqs]:
    with mock_aws():
        yield Sqs()


def as_read(message: Any) -> SqsQueuedDelivery:
    record = {
        "body": message["Body"],
        "receiptHandle": message["ReceiptHandle"],
        "messageId": message["MessageId"],
        "attributes": message["Attributes"],
    }
    return SqsQueuedDelivery(record, change_of=lambda _: pytest.fail("no change of a run"))


def delivery(body: str = "{}") -> WebhookDelivery:
    return WebhookDelivery(
        id="run-1_2", type="run.paused", run_id="run-1", url="https://a.example/", body=body
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"input":"\\u0000 \\"quoted\\" ünïcödé 🙂\\n"}',
        json.dumps({"arguments": "a" * 3_000_000}),
        # What a header may hold at most: 400 KB that pack no further.
        json.dumps({"arguments": Random(1).randbytes(200_000).hex()}),
    ],
)
def test_a_delivery_is_received_as_it_was_sent(sqs: Sqs, body: str) -> None:
    sqs.queue.send(delivery(body))
    (message,) = sqs.received()
    assert message.delivery() == delivery(body)
    assert message.tries == 1


def test_a_small_one_can_be_read_by_people(sqs: Sqs) -> None:
    sqs.queue.send(delivery())
    (message,) = sqs.received()
    assert json.loads(message.text)["url"] == "https://a.example/"


def test_what_is_postponed_by_nothing_comes_again_at_once(sqs: Sqs) -> None:
    sqs.queue.send(delivery())
    (message,) = sqs.received()
    assert sqs.received() == []
    sqs.queue.postpone(message.receipt, timedelta())
    (again,) = sqs.received()
    assert (again.delivery(), again.tries) == (delivery(), 2)
    sqs.queue.postpone(again.receipt, timedelta(hours=11))
    assert sqs.received() == []


def test_what_is_set_aside_is_among_the_dead_letters(sqs: Sqs) -> None:
    sqs.queue.set_aside("whatever it was")
    assert [message.text for message in sqs.received(1)] == ["whatever it was"]
    assert sqs.received() == []


@pytest.mark.parametrize(
    "body", ["", "no JSON", "[]", "{}", '{"packed":"AAAA"}', '{"packed":1}', '{"url":"x"}', "null"]
)
def test_what_is_no_delivery_cannot_be_read(sqs: Sqs, body: str) -> None:
    record = {"Body": body, "ReceiptHandle": "r", "MessageId": "m"}
    message = as_read({**record, "Attributes": {"ApproximateReceiveCount": "3"}})
    with pytest.raises(UnreadableError):
        message.delivery()
    assert message.tries == 3


def test_a_queue_that_cannot_be_reached_is_not_available(sqs: Sqs) -> None:
    def fail(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="sqs")

    sqs.client.meta.events.register("before-send.sqs.*", fail)
    calls: tuple[Callable[[], None], ...] = (
        lambda: sqs.queue.send(delivery()),
        lambda: sqs.queue.set_aside("?"),
        lambda: sqs.queue.postpone("receipt", timedelta(seconds=5)),
    )
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            call()
