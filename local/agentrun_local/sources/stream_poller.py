"""Reads a table's stream for a function, as Lambda's event source mapping does."""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from agentrun_local.functions.invocation import Invoker
from agentrun_local.sources.batches import worked_off
from agentrun_local.template.event_sources import EventSource

POLLED_EVERY_S = 0.25
"""Lambda polls each shard four times a second (developer guide, "Using Lambda with DynamoDB")."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class StreamPoller:
    """
    Hands a stream's records to the function, in order and one batch at a time.

    A batch that fails is tried again, from the first record that failed if the function reports it,
    until its retries are used up; what comes after it waits.

    Args:
        source: The mapping.
        invoker: Its function.
        dynamodb: A client of the service that has the table.
        streams: A client of its streams.
        table: The table's name.
        threads: Where the clients' calls wait.
        log: Takes a line about what went wrong.
    """

    def __init__(
        self,
        source: EventSource,
        invoker: Invoker,
        *,
        dynamodb: Any,
        streams: Any,
        table: str,
        threads: Executor,
        log: Callable[[str], None],
    ) -> None:
        self._source = source
        self._invoker = invoker
        self._dynamodb = dynamodb
        self._streams = streams
        self._table = table
        self._threads = threads
        self._log = log

    async def run(self) -> None:
        """Poll until cancelled."""
        iterator: str | None = None
        after: str | None = None
        while True:
            try:
                if iterator is None:
                    iterator = await self._iterator(after)
                answer = await self._call(
                    self._streams.get_records,
                    ShardIterator=iterator,
                    Limit=self._source.batch_size,
                )
            except (BotoCoreError, ClientError) as error:
                self._log(f"The stream of {self._table} cannot be read: {error}")
                iterator = None
                await asyncio.sleep(_LONGEST_PAUSE_S / 10)
                continue
            iterator = answer.get("NextShardIterator")
            if records := answer["Records"]:
                await self._hand_over(records)
                after = records[-1]["dynamodb"]["SequenceNumber"]
            else:
                await asyncio.sleep(POLLED_EVERY_S)

    async def _iterator(self, after: str | None) -> str:
        described = await self._call(self._dynamodb.describe_table, TableName=self._table)
        arn = described["Table"]["LatestStreamArn"]
        answer = await self._call(self._streams.describe_stream, StreamArn=arn)
        # One shard is all that a stand-in has.
        shard = answer["StreamDescription"]["Shards"][-1]["ShardId"]
        where = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
            if after
            else {"ShardIteratorType": self._source.start or "LATEST"}
        )
        found = await self._call(
            self._streams.get_shard_iterator, StreamArn=arn, ShardId=shard, **where
        )
        iterator: str = found["ShardIterator"]
        return iterator

    async def _hand_over(self, records: Sequence[Mapping[str, Any]]) -> None:
        written = [stream_record(record, self._source) for record in records]
        left = [record for record in written if self._source.filter.matches(record)]
        tries, pause_s = 0, _FIRST_PAUSE_S
        while left:
            numbers = [record["dynamodb"]["SequenceNumber"] for record in left]
            outcome = await worked_off(
                self._invoker, left, numbers, reports_failures=self._source.reports_failures
            )
            if not outcome.failed:
                return
            first = min(numbers.index(number) for number in outcome.failed)
            if first:
                # There was progress: the count begins anew.
                left, tries, pause_s = left[first:], 0, _FIRST_PAUSE_S
            self._log(f"failed: record {numbers[first]}. {outcome.error}".rstrip())
            if self._source.max_retries is not None and tries >= self._source.max_retries:
                self._log(f"dropped after {tries} retries: {len(left)} records")
                return
            tries += 1
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: method(**arguments))


def stream_record(record: Mapping[str, Any], source: EventSource) -> dict[str, Any]:
    """Write a record as Lambda does (developer guide, "Using Lambda with DynamoDB")."""
    said = dict(_as_json(record["dynamodb"]))
    return {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": record["eventVersion"],
        "eventSource": "aws:dynamodb",
        "awsRegion": source.arn.split(":")[3],
        "dynamodb": said,
        "eventSourceARN": source.arn,
    }


def _as_json(value: Any) -> Any:
    """Turn what botocore has decoded into what was sent: bytes in base64, seconds since 1970."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return int(value.timestamp())
        case Mapping():
            return {key: _as_json(one) for key, one in value.items()}
        case list() | set():
            return [_as_json(one) for one in value]
    return value
