"""A message of the queue of runs, as Lambda's event source mapping hands it to the worker."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.sqs.client import queue_failures
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_NOT_HELD = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""What ChangeMessageVisibility says of a message that somebody else has, or that is gone."""


class SqsRunMessage:
    """
    Implements the port `HeldMessage`.

    Args:
        client: Returns the client.
        url: The queue's URL.
        record: One of the event's `Records` (Lambda developer guide, "Using Lambda with SQS").

    Raises:
        ValueError: The record's body names no run.
    """

    def __init__(
        self, client: "Callable[[], SQSClient]", url: str, record: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._url = url
        self._receipt: str = record["receiptHandle"]
        self.key = _key_of(record["body"])
        self.received = int(record["attributes"]["ApproximateReceiveCount"])

    def keep_for(self, time: timedelta) -> bool:
        """Change the message's visibility time-out, which is in whole seconds."""
        with queue_failures():
            try:
                self._client().change_message_visibility(
                    QueueUrl=self._url,
                    ReceiptHandle=self._receipt,
                    VisibilityTimeout=ceil(time.total_seconds()),
                )
            except ClientError as error:
                if _code_of(error) in _NOT_HELD:
                    return False
                raise
        return True


def _key_of(body: str) -> RunKey:
    said = json.loads(body)
    try:
        return RunKey(tenant=said["tenant"], run_id=said["runId"])
    except (KeyError, TypeError) as error:
        raise ValueError("The message names no run.") from error


def _code_of(error: ClientError) -> str:
    # The JSON protocol qualifies the code with a namespace, and older servers with another one.
    return error.response["Error"]["Code"].rpartition("#")[2].rpartition(".")[2]
