"""
Places of readers in DynamoDB: one item a user, one write to take a place, one to free it.

The item has a set of the places' names. A write costs a unit for each KB of the item, some 15
places. The item goes by itself an hour after the last reader's time was up.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo.items import Item, tenant_key
from agentrun.domain.quotas import ReaderPlace
from agentrun.domain.value import from_epoch_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_AFTER = timedelta(hours=1)
"""More than the deadlines of two readers can differ, so that no place goes before its time."""


class DynamoReaderQuota:
    """The port `ReaderQuota` on the project's table."""

    def __init__(self, client: "DynamoDBClient", table: str, limit: int) -> None:
        self._client = client
        self._table = table
        self._limit = limit

    @property
    def limit(self) -> int:
        """How many readers a user's runs may have; see the port."""
        return self._limit

    def take(self, place: ReaderPlace, *, at: datetime) -> Sequence[ReaderPlace]:
        """Take a place if there is one left; see the port."""
        ttl_epoch_s = int((max(place.until, at) + KEPT_AFTER).timestamp())
        refused = self._update(
            place,
            UpdateExpression="ADD #readers :places SET #ttl = :ttl",
            # Held: an earlier try of this very write, whose reply was lost.
            ConditionExpression="attribute_not_exists(#readers) OR size(#readers) < :most"
            " OR contains(#readers, :place)",
            ExpressionAttributeNames={"#readers": "readers", "#ttl": "ttl"},
            ExpressionAttributeValues={
                ":places": _names([place]),
                ":place": {"S": place.name},
                ":most": {"N": str(self._limit)},
                ":ttl": {"N": str(ttl_epoch_s)},
            },
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return () if refused is None else _places(refused, place)

    def release(self, places: Sequence[ReaderPlace]) -> None:
        """Free places; see the port."""
        self._update(
            places[0],
            UpdateExpression="DELETE #readers :places",
            # Else an item that time has taken away would come back, and stay.
            ConditionExpression="attribute_exists(#readers)",
            ExpressionAttributeNames={"#readers": "readers"},
            ExpressionAttributeValues={":places": _names(places)},
        )

    def _update(self, whose: ReaderPlace, **update: Any) -> Item | None:
        """Write to a user's item; the item as it was if the condition did not hold, else None."""
        key = tenant_key(whose.tenant, "READERS", whose.user)
        try:
            with unavailable_when_failing():
                self._client.update_item(
                    TableName=self._table, Key={"pk": {"S": key}, "sk": {"S": "READERS"}}, **update
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            response: Any = error.response
            found: Item = response.get("Item", {})
            return found
        return None


def _names(places: Sequence[ReaderPlace]) -> dict[str, Any]:
    return {"SS": sorted({place.name for place in places})}


def _places(item: Item, whose: ReaderPlace) -> list[ReaderPlace]:
    found = []
    for name in item["readers"]["SS"]:
        until, run_id, reader_id = name.split(":")
        found.append(
            ReaderPlace(whose.tenant, whose.user, run_id, reader_id, from_epoch_ms(int(until)))
        )
    return found
