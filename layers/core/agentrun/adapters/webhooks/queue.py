"""The queue of deliveries in SQS, and what Lambda hands over of it."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agentrun.adapters.dynamo.connection.light_client import light_session, user_agent
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.webhooks import WebhookDelivery
from agentrun.service.webhooks.announcing import RunChange, UnreadableError

MOST_PLAIN_BYTES = 200 * 1024
"""A larger message is packed; SQS takes 1 MiB (quotas), and a header packs to 400 KB at most."""
_PACKED = "packed"


def webhook_sqs_client() -> Any:
    """Build a client that gives up early: what fails is tried again by Lambda."""
    config = Config(
        connect_timeout=1,
        read_timeout=5,
        tcp_keepalive=True,
        retries={"total_max_attempts": 3, "mode": "standard"},
        user_agent=user_agent(),
    )
    return light_session().create_client("sqs", config=config)


class SqsWebhookQueue:
    """
    Implements the port `WebhookQueue`.

    Args:
        client: Of SQS.
        url: The queue's URL.
        dead_letters_url: That of its dead-letter queue.
    """

    def __init__(self, client: Any, url: str, dead_letters_url: str) -> None:
        self._client = client
        self._url = url
        self._dead_letters_url = dead_letters_url

    def send(self, delivery: WebhookDelivery) -> None:
        """Add a delivery; see the port."""
        self._send(self._url, _packed(delivery.model_dump_json(), runId=delivery.run_id))

    def set_aside(self, message: str) -> None:
        """Add a message to the dead letters; see the port."""
        self._send(self._dead_letters_url, _packed(message))

    def postpone(self, receipt: str, pause: timedelta) -> None:
        """Change a message's visibility; see the port."""
        with _unavailable_when_failing():
            self._client.change_message_visibility(
                QueueUrl=self._url,
                ReceiptHandle=receipt,
                VisibilityTimeout=int(pause.total_seconds()),
            )

    def _send(self, url: str, message: str) -> None:
        with _unavailable_when_failing():
            self._client.send_message(QueueUrl=url, MessageBody=message)


class SqsQueuedDelivery:
    """
    A record of Lambda's event ("Using Lambda with Amazon SQS" in the developer guide).

    Args:
        record: The record.
        change_of: Reads a record of the table's stream, which a dead letter may hold.
    """

    def __init__(
        self, record: Mapping[str, Any], change_of: Callable[[Mapping[str, Any]], RunChange]
    ) -> None:
        self._change_of = change_of
        self.text: str = record["body"]
        self.receipt: str = record["receiptHandle"]
        self.message_id: str = record["messageId"]
        self.tries = int(record["attributes"]["ApproximateReceiveCount"])

    def delivery(self) -> WebhookDelivery | None:
        """Read the message; see the port."""
        try:
            text = _unpacked(self.text)
            said = json.loads(text)
            if isinstance(said, dict) and "dynamodb" in said:
                return self._change_of(said).delivery()
            return WebhookDelivery.model_validate_json(text)
        except (TypeError, ValueError, zlib.error) as error:
            raise UnreadableError("the message is no delivery") from error


def _packed(text: str, **names: str) -> str:
    """Pack a large message; what it is of can still be read."""
    if len(text.encode()) <= MOST_PLAIN_BYTES:
        return text
    return json.dumps({**names, _PACKED: b64encode(zlib.compress(text.encode())).decode()})


def _unpacked(text: str) -> str:
    said = json.loads(text)
    if isinstance(said, dict) and _PACKED in said:
        return zlib.decompress(b64decode(said[_PACKED])).decode()
    return text


@contextmanager
def _unavailable_when_failing() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailableError("The queue of webhooks is not available.") from error
