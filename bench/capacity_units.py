"""What DynamoDB charges: as the store reports it, and by its rules."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_WRITES = ("PutItem", "UpdateItem", "TransactWriteItems")
_READS = ("BatchGetItem",)


def item_bytes(item: Mapping[str, Any]) -> int:
    """
    Return an item's size.

    Source: "DynamoDB item sizes and formats" in the developer guide; a number takes a byte for two
    digits and one more, which is what it is at most.
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    kind, value = next(iter(attribute.items()))
    if kind == "N":
        return math.ceil(len(value.strip("-").replace(".", "")) / 2) + 1
    return len(value.encode()) if kind == "S" else len(value)


def _write_units(item: Mapping[str, Any]) -> int:
    return math.ceil(item_bytes(item) / 1024)


@dataclass
class Charges:
    """
    Units of one capacity.

    Attributes:
        requests: How many there were.
        reported: What the store says that they cost.
        by_request: What they cost by DynamoDB's rules, by the name of the request.
    """

    requests: int = 0
    reported: float = 0
    by_request: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def computed(self) -> float:
        """What they cost in all by DynamoDB's rules."""
        return sum(self.by_request.values())


@dataclass
class CapacityMeter:
    """
    Asks for ReturnConsumedCapacity with every request of a client, and adds up per tenant.

    An updated item is asked for too, for its size; the charge is the same without it.
    """

    writes: dict[str, Charges] = field(default_factory=dict)
    reads: Charges = field(default_factory=Charges)

    def attach(self, client: "DynamoDBClient") -> None:
        """Observe what this client sends from now on."""
        for name in (*_WRITES, *_READS):
            events = client.meta.events
            events.register(f"before-parameter-build.dynamodb.{name}", self._ask)
            events.register(f"after-call.dynamodb.{name}", self._count)

    def _ask(self, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"
        if "UpdateExpression" in params:
            params["ReturnValues"] = "ALL_NEW"
        context["bench_params"] = params

    def _count(
        self, parsed: dict[str, Any], context: dict[str, Any], model: Any, **_: object
    ) -> None:
        params = context["bench_params"]
        consumed = parsed.get("ConsumedCapacity", [])
        reported = sum(
            c["CapacityUnits"] for c in (consumed if isinstance(consumed, list) else [consumed])
        )
        if model.name in _READS:
            charges, computed = self.reads, _read_units(parsed)
        else:
            partition, computed = _written(model.name, params, parsed)
            tenant = partition.split("#")[1]
            charges = self.writes.setdefault(tenant, Charges())
        charges.requests += 1
        charges.reported += reported
        charges.by_request[model.name] += computed


def _read_units(parsed: Mapping[str, Any]) -> float:
    """Eventually consistent: half a unit for each 4 KB begun, item by item in a batch."""
    items = [item for items in parsed["Responses"].values() for item in items]
    return sum(math.ceil(item_bytes(item) / 4096) / 2 for item in items)


def _written(name: str, params: Mapping[str, Any], parsed: Mapping[str, Any]) -> tuple[str, float]:
    """Return a partition key that was written to and the units."""
    if name == "PutItem":
        return params["Item"]["pk"]["S"], _write_units(params["Item"])
    if name == "UpdateItem":
        # The larger of the item before and after; ours grow, or stay well within their unit.
        # A refused one, botocore's repetition of a slow one, is charged for as well.
        item = parsed.get("Attributes", params["Key"])
        return params["Key"]["pk"]["S"], _write_units(item)
    puts = [write["Put"]["Item"] for write in params["TransactItems"] if "Put" in write]
    updates = [write["Update"] for write in params["TransactItems"] if "Update" in write]
    items = [*puts, *(_created(update) for update in updates)]
    # Each item of a transaction is written twice, its entry in the index once: a new session has
    # one, and so has its pointer to the run.
    listed = [*(update["UpdateExpression"].split() for update in updates), *puts]
    entries = sum("gsi1pk" in names for names in listed)
    return items[0]["pk"]["S"], 2 * sum(map(_write_units, items)) + entries


def _created(update: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item that an update creates, close enough for its size: names are short ones."""
    values = {name.strip(":"): value for name, value in update["ExpressionAttributeValues"].items()}
    return {**update["Key"], **values, "createdAt": {"N": "1795376483123"}}
