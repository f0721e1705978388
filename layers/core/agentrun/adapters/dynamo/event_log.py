"""The event log in DynamoDB: one item for each segment."""

import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo.items import Item, event_sk, run_pk
from agentrun.domain.events import RECORDED_EVENTS, RecordedEvent
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION = timedelta(hours=25)
"""A day after the run's end; its first segment may be written 15 minutes earlier."""
SLACK = timedelta(days=1)
"""Within which continuing a run does not yet shorten the time that is left for its replay."""


class DynamoEventLog:
    """The port `EventLog` on the project's table; events outlive their run by a day."""

    def __init__(
        self, client: "DynamoDBClient", table: str, *, longest_pause: timedelta = timedelta()
    ) -> None:
        """Keep events for a day, and for as long as a run may be paused after they happened."""
        self._client = client
        self._table = table
        self._retention = RETENTION + longest_pause

    def append(
        self,
        key: RunKey,
        events: Sequence[RecordedEvent],
        *,
        at: datetime,
        supersedes: bool = False,
    ) -> None:
        """Store consecutive events as one segment; see the port."""
        segment: dict[str, Any] = {
            "pk": {"S": run_pk(key)},
            "sk": {"S": event_sk(events[-1].id)},
            "first": {"N": str(events[0].id)},
            "events": {"B": zlib.compress(RECORDED_EVENTS.dump_json(tuple(events)))},
            "ttl": _epoch_s(at + self._retention + SLACK),
        }
        write: dict[str, Any] = {"TableName": self._table, "Item": segment}
        if supersedes:
            segment["superseding"] = {"BOOL": True}
        else:
            # Costs nothing where it holds, and tells a write that comes late.
            write["ConditionExpression"] = "attribute_not_exists(superseding)"
        try:
            with unavailable_when_failing():
                self._client.put_item(**write)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def read(self, key: RunKey, *, after: int, at: datetime) -> Sequence[RecordedEvent]:
        """Return the stored events with ids above `after`; see the port."""
        events: list[RecordedEvent] = []
        last = after
        # Of the first pages nothing may be left.
        for page in self._pages(key, after, at):
            for item in page:
                for event in RECORDED_EVENTS.validate_json(zlib.decompress(item["events"]["B"])):
                    # A segment whose reply was lost is written again, with more behind it.
                    if event.id > last:
                        events.append(event)
                        last = event.id
            if events:
                break
        return events

    def _pages(self, key: RunKey, after: int, at: datetime) -> Iterator[Sequence[Item]]:
        """Yield what has not expired, page by page: at most 1 MB each (Query API reference)."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            # DynamoDB deletes what has outlived its `ttl` only within days, and in any order.
            FilterExpression="#ttl > :now",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={
                ":pk": {"S": run_pk(key)},
                ":first": {"S": event_sk(after + 1)},
                ":last": {"S": "EV#~"},
                ":now": _epoch_s(at),
            },
            ConsistentRead=True,
        )
        with unavailable_when_failing():
            for page in pages:
                yield page["Items"]

    def keep(self, key: RunKey, *, since: datetime, at: datetime) -> None:
        """Have stored events expire no earlier than what is written at `at`; see the port."""
        if at <= since + SLACK:
            return
        needed = at + self._retention
        # All that would expire before the target, not only before what is needed: what is left of
        # a log is then always its end.
        target = needed + SLACK
        found = list(self._expiring(key, at, target))
        if any(_ttl(item) < needed.timestamp() for item in found):
            for item in found:
                self._move_on(item, at, target)

    def _expiring(self, key: RunKey, at: datetime, before: datetime) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :events)",
            FilterExpression="#ttl > :now AND #ttl < :before",
            ProjectionExpression="pk, sk, #ttl",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={
                ":pk": {"S": run_pk(key)},
                ":events": {"S": "EV#"},
                ":now": _epoch_s(at),
                ":before": _epoch_s(before),
            },
        )
        with unavailable_when_failing():
            for page in pages:
                yield from page["Items"]

    def _move_on(self, item: Item, at: datetime, target: datetime) -> None:
        try:
            with unavailable_when_failing():
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": item["pk"], "sk": item["sk"]},
                    # Not what is deleted meanwhile, which would come back without its events.
                    ConditionExpression="#ttl > :now AND #ttl < :target",
                    UpdateExpression="SET #ttl = :target",
                    ExpressionAttributeNames={"#ttl": "ttl"},
                    ExpressionAttributeValues={
                        ":now": _epoch_s(at),
                        ":target": _epoch_s(target),
                    },
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise


def _ttl(item: Item) -> int:
    return int(item["ttl"]["N"])


def _epoch_s(at: datetime) -> dict[str, str]:
    return {"N": str(int(at.timestamp()))}
