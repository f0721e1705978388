"""Reads a queue for a function, as Lambda's event source mapping does."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from agentrun_local.functions.invocation import Invoker
from agentrun_local.sources.batches import worked_off
from agentrun_local.template.event_sources import EventSource

WAIT_S = 2
"""How long one request waits for messages; Lambda's waits for 20 s, and our end for this."""
_AGAIN_AFTER_S = 1.0
_ATTRIBUTES = (
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
)


class QueuePoller:
    """
    Receives messages, invokes the function with them, and deletes those that succeed.

    A message that fails, or whose function dies or times out, is left to its visibility time-out,
    and in the end to the queue's redrive policy.

    Args:
        source: The mapping.
        invoker: Its function.
        client: A client of the service that has the queue.
        url: The queue's URL.
        threads: Where the client's calls wait.
        log: Takes a line about what went wrong.
        most_at_once: Batches that the function can work off at once.
    """

    def __init__(
        self,
        source: EventSource,
        invoker: Invoker,
        *,
        client: Any,
        url: str,
        threads: Executor,
        log: Callable[[str], None],
        most_at_once: int,
    ) -> None:
        self._source = source
        self._invoker = invoker
        self._client = client
        self._url = url
        self._threads = threads
        self._log = log
        self._places = asyncio.Semaphore(min(source.max_concurrency or most_at_once, most_at_once))
        self._batches: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Poll until cancelled; batches under way are then left to themselves."""
        while True:
            # No message is received before there is a place for it: its time-out would run.
            await self._places.acquire()
            try:
                messages = await self._receive()
            except BaseException:
                self._places.release()
                raise
            if not messages:
                self._places.release()
                continue
            batch = asyncio.ensure_future(self._work_off(messages))
            self._batches.add(batch)
            batch.add_done_callback(self._done)

    def _done(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._places.release()

    async def _receive(self) -> Sequence[Mapping[str, Any]]:
        try:
            answer = await self._call(
                self._client.receive_message,
                MaxNumberOfMessages=min(self._source.batch_size, 10),
                WaitTimeSeconds=WAIT_S,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            self._log(f"The queue {self._source.resource} cannot be read: {error}")
            await asyncio.sleep(_AGAIN_AFTER_S)
            return ()
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", ())
        return messages

    async def _work_off(self, messages: Sequence[Mapping[str, Any]]) -> None:
        records = {message["MessageId"]: record_of(message, self._source) for message in messages}
        receipts = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        is_wanted = self._source.filter.matches_body
        wanted = {key: record for key, record in records.items() if is_wanted(record)}
        failed: frozenset[str] = frozenset()
        if wanted:
            outcome = await worked_off(
                self._invoker,
                list(wanted.values()),
                list(wanted),
                reports_failures=self._source.reports_failures,
            )
            failed = outcome.failed
            if failed:
                self._log(f"failed: message {', '.join(sorted(failed))}. {outcome.error}".rstrip())
        # What the filter keeps out is deleted as well.
        await self._delete([receipt for key, receipt in receipts.items() if key not in failed])

    async def _delete(self, receipts: Sequence[str]) -> None:
        if not receipts:
            return
        entries = [{"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(receipts)]
        try:
            await self._call(self._client.delete_message_batch, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            self._log(f"Messages are done and cannot be deleted, so they come again: {error}")

    async def _call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: method(QueueUrl=self._url, **arguments)
        )


def record_of(message: Mapping[str, Any], source: EventSource) -> dict[str, Any]:
    """Write a message as Lambda does (developer guide, "Using Lambda with Amazon SQS")."""
    said = message.get("Attributes", {})
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {name: said[name] for name in _ATTRIBUTES if name in said},
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": source.arn,
        "awsRegion": source.arn.split(":")[3],
    }
