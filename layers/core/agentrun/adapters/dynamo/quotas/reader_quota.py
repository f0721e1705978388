"""
Places of readers in DynamoDB: one item a user, one write to take a place, one to free it.

The item has a set of the places' names. A write costs a unit for each KB of the item, some 15
places. The item goes by itself an hour after the last reader's time was up.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    Value,
    number,
    readers_key,
    seconds,
    string,
)
from agentrun.adapters.dynamo.table import ConditionFailedError, Table, Write
from agentrun.domain.quotas import ReaderPlace
from agentrun.domain.value import from_epoch_ms

KEPT_AFTER = timedelta(hours=1)
"""More than the deadlines of two readers can differ, so that no place goes before its time."""
_READERS = f"#{Attribute.READERS}"


class DynamoReaderQuota:
    """The port `ReaderQuota` on the project's table."""

    def __init__(self, table: Table, limit: int) -> None:
        self._table = table
        self._limit = limit

    @property
    def limit(self) -> int:
        """How many readers a user's runs may have."""
        return self._limit

    def take(self, place: ReaderPlace, *, at: datetime) -> Sequence[ReaderPlace]:
        """Take a place if there is one left."""
        taking = Write(
            "Update",
            readers_key(place.tenant, place.user),
            f"ADD {_READERS} :places SET #{Attribute.TTL} = :ttl",
            # Held: an earlier try of this very write, whose reply was lost.
            f"attribute_not_exists({_READERS}) OR size({_READERS}) < :most"
            f" OR contains({_READERS}, :place)",
            {
                ":places": _names([place]),
                ":place": string(place.name),
                ":most": number(self._limit),
                ":ttl": seconds(max(place.until, at) + KEPT_AFTER),
            },
            asks=True,
        )
        try:
            self._table.write(taking)
        except ConditionFailedError as failed:
            return _places(failed.item, place)
        return ()

    def release(self, places: Sequence[ReaderPlace]) -> None:
        """Free places."""
        key = readers_key(places[0].tenant, places[0].user)
        # Else an item that time has taken away would come back, and stay.
        condition = f"attribute_exists({_READERS})"
        names = {":places": _names(places)}
        with contextlib.suppress(ConditionFailedError):
            self._table.write(Write("Update", key, f"DELETE {_READERS} :places", condition, names))


def _names(places: Sequence[ReaderPlace]) -> Value:
    return {"SS": sorted({place.name for place in places})}


def _places(item: Item, whose: ReaderPlace) -> list[ReaderPlace]:
    found = []
    for name in item[Attribute.READERS]["SS"]:
        until, run_id, reader_id = name.split(":")
        found.append(
            ReaderPlace(whose.tenant, whose.user, run_id, reader_id, from_epoch_ms(int(until)))
        )
    return found
