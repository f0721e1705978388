"""The event log in DynamoDB: one item for each segment."""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo_client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo_items import event_sk, run_pk
from agentrun.domain.events import RECORDED_EVENTS, RecordedEvent
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION = timedelta(hours=25)
"""A day after the run's end; its first segment may be written 15 minutes earlier."""


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
            "ttl": {"N": str(int((at + self._retention).timestamp()))},
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

    def read(self, key: RunKey, *, after: int) -> Sequence[RecordedEvent]:
        """Give the stored events with ids above `after`; see the port."""
        with unavailable_when_failing():
            # One page is at most 1 MB (Query API reference); the caller goes on from its last id.
            page = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": {"S": run_pk(key)},
                    ":first": {"S": event_sk(after + 1)},
                    ":last": {"S": "EV#~"},
                },
                ConsistentRead=True,
            )
        events: list[RecordedEvent] = []
        last = after
        for item in page["Items"]:
            for event in RECORDED_EVENTS.validate_json(zlib.decompress(item["events"]["B"])):
                # A segment whose reply was lost is written again, with more behind it.
                if event.id > last:
                    events.append(event)
                    last = event.id
        return events
