"""The queue of runs in SQS: the messages that ask for executors."""

import json
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from agentrun.adapters.sqs.client import queue_failures
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MOST_DELAY = timedelta(minutes=15)
"""SendMessage's limit of DelaySeconds (API reference)."""


class SqsRunQueue:
    """
    Implements the port `RunQueue`.

    Args:
        client: Returns the client; asked at each message, so that it may be built late.
        url: The queue's URL.
    """

    def __init__(self, client: "Callable[[], SQSClient]", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, key: RunKey, *, delay: timedelta = timedelta()) -> None:
        """Send a message that names the run; a longer delay than SQS takes is cut."""
        body = json.dumps({"tenant": key.tenant, "runId": key.run_id}, ensure_ascii=False)
        delay_s = ceil(min(max(delay, timedelta()), MOST_DELAY).total_seconds())
        with queue_failures():
            self._client().send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay_s)
