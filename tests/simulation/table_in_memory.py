"""
A DynamoDB table in a dictionary, for the real adapters; 1000 times faster than a server.

Each call is atomic, as DynamoDB's are, reads are consistent, and its limits are DynamoDB's.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from botocore.exceptions import ClientError

from tests.simulation.expressions import Item, holds, projected, updated

MAX_ITEM_BYTES = 400 * 1024
MAX_ACTIONS = 100
MAX_PAGE_BYTES = 1024 * 1024
Key = tuple[str, str]


class TableInMemory:
    """What the adapters use of a DynamoDB client, for one table with one index."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Item]] = {}

    # One item.

    def get_item(self, *, Key: Mapping[str, Any], **options: Any) -> Any:  # noqa: N803 - boto3's names
        item = self._at(_key(Key))
        if not item:
            return {}
        return {"Item": _shown(item, options)}

    def put_item(self, *, Item: Item, **options: Any) -> Any:  # noqa: N803 - boto3's names
        self._apply([("PutItem", {"Item": Item, **options})], "PutItem")
        return {}

    def delete_item(self, **options: Any) -> Any:
        self._apply([("DeleteItem", options)], "DeleteItem")
        return {}

    def update_item(self, **options: Any) -> Any:
        self._apply([("UpdateItem", options)], "UpdateItem")
        if options.get("ReturnValues") in {"ALL_NEW", "UPDATED_NEW"}:
            return {"Attributes": dict(self._at(_key(options["Key"])))}
        return {}

    # Many items.

    def transact_write_items(self, *, TransactItems: Sequence[Any], **_: Any) -> Any:  # noqa: N803
        kinds = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
        writes = [
            (kinds.get(kind, kind), write)
            for action in TransactItems
            for kind, write in action.items()
        ]
        targets = {_target(write) for _, write in writes}
        if len(writes) > MAX_ACTIONS or len(targets) < len(writes):
            raise _error("ValidationException", "TransactWriteItems")
        self._apply(writes, "TransactWriteItems")
        return {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any], **_: Any) -> Any:  # noqa: N803
        ((table, asked),) = RequestItems.items()
        found = [self._at(_key(key)) for key in asked["Keys"]]
        shown = [_shown(item, asked) for item in found if item]
        return {"Responses": {table: shown}}

    def batch_write_item(self, *, RequestItems: Mapping[str, Any], **_: Any) -> Any:  # noqa: N803
        (requests,) = RequestItems.values()
        if len(requests) > 25:
            raise _error("ValidationException", "BatchWriteItem")
        for request in requests:
            for kind, write in request.items():
                self._apply([(kind.replace("Request", "Item"), write)], "BatchWriteItem")
        return {}

    def query(self, **options: Any) -> Any:
        names, values = _names(options), options["ExpressionAttributeValues"]
        index = options.get("IndexName")
        sort, is_forward = "gsi1sk" if index else "sk", options.get("ScanIndexForward", True)
        found = sorted(
            (
                item
                for item in (self._all() if index else self._partition(options))
                if sort in item and holds(options["KeyConditionExpression"], item, names, values)
            ),
            key=lambda item: str(item[sort]["S"]),
            reverse=not is_forward,
        )
        if "ExclusiveStartKey" in options:
            start = str(options["ExclusiveStartKey"][sort]["S"])
            found = [
                item
                for item in found
                if (item[sort]["S"] > start if is_forward else item[sort]["S"] < start)
            ]
        page, last = _page(found, options.get("Limit"))
        return self._answer(page, last, options)

    def _answer(self, page: Sequence[Item], last: Item | None, options: Mapping[str, Any]) -> Any:
        names, values = _names(options), options["ExpressionAttributeValues"]
        wanted = options.get("FilterExpression")
        kept = [item for item in page if wanted is None or holds(wanted, item, names, values)]
        answer: dict[str, Any] = {"Count": len(kept), "Items": [_shown(i, options) for i in kept]}
        if last is not None:
            more = ("pk", "sk", "gsi1pk", "gsi1sk") if "IndexName" in options else ("pk", "sk")
            answer["LastEvaluatedKey"] = {name: last[name] for name in more}
        return answer

    def scan(self, **_: Any) -> Any:
        return {"Items": [dict(item) for item in self._all()]}

    # What is there.

    def _partition(self, options: Mapping[str, Any]) -> Iterator[Item]:
        return iter(
            list(self.items.get(options["ExpressionAttributeValues"][":pk"]["S"], {}).values())
        )

    def _all(self) -> Iterator[Item]:
        for partition in list(self.items.values()):
            yield from list(partition.values())

    def _at(self, key: Key) -> Item:
        return self.items.get(key[0], {}).get(key[1], {})

    def _apply(self, writes: Sequence[tuple[str, Any]], operation: str) -> None:
        """Apply all writes, or none if one of their conditions does not hold."""
        reasons = [self._refusal(write) for _, write in writes]
        if any(reason["Code"] != "None" for reason in reasons):
            is_one = operation != "TransactWriteItems"
            code = "ConditionalCheckFailed" if is_one else "TransactionCanceled"
            response: Any = {"Error": {"Code": f"{code}Exception", "Message": code}}
            if is_one:
                response |= {k: v for k, v in reasons[0].items() if k == "Item"}
            else:
                response["CancellationReasons"] = reasons
            raise ClientError(response, operation)
        after = [(_target(write), self._written(kind, write)) for kind, write in writes]
        if any(_size(item) > MAX_ITEM_BYTES for _, item in after if item):
            raise _error("ValidationException", operation)
        for key, item in after:
            self.items.setdefault(key[0], {})
            if item:
                self.items[key[0]][key[1]] = item
            else:
                self.items[key[0]].pop(key[1], None)

    def _refusal(self, write: Any) -> dict[str, Any]:
        condition, item = write.get("ConditionExpression"), self._at(_target(write))
        values = write.get("ExpressionAttributeValues", {})
        if condition is None or holds(condition, item, _names(write), values):
            return {"Code": "None"}
        reason: dict[str, Any] = {"Code": "ConditionalCheckFailed"}
        if item and write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            reason["Item"] = dict(item)
        return reason

    def _written(self, kind: str, write: Any) -> Item:
        item = self._at(_target(write))
        match kind:
            case "PutItem":
                written: Item = copy(write["Item"])
                return written
            case "DeleteItem":
                return {}
            case "UpdateItem":
                values = write.get("ExpressionAttributeValues", {})
                base = item or dict(write["Key"])
                return updated(write["UpdateExpression"], base, _names(write), values)
            case _:
                return item

    class _Paginator:
        def __init__(self, table: "TableInMemory", name: str) -> None:
            self._call = getattr(table, name)

        def paginate(self, **options: Any) -> Iterator[Any]:
            size = options.pop("PaginationConfig", {}).get("PageSize")
            options |= {"Limit": size} if size else {}
            while True:
                page = self._call(**options)
                yield page
                if "LastEvaluatedKey" not in page:
                    return
                options["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def get_paginator(self, name: str) -> "TableInMemory._Paginator":
        return TableInMemory._Paginator(self, name)


def _names(options: Mapping[str, Any]) -> Mapping[str, str]:
    names: Mapping[str, str] = options.get("ExpressionAttributeNames", {})
    return names


def _key(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _target(write: Mapping[str, Any]) -> Key:
    return _key(write["Item"] if "Item" in write else write["Key"])


def _shown(item: Item, options: Mapping[str, Any]) -> Item:
    wanted = options.get("ProjectionExpression")
    return dict(item) if wanted is None else projected(wanted, item, _names(options))


def _page(found: Sequence[Item], limit: int | None) -> tuple[Sequence[Item], Item | None]:
    """Return a page, and where it stops if there are more."""
    total = 0
    for number, item in enumerate(found, 1):
        total += _size(item)
        if number < len(found) and (number == limit or total > MAX_PAGE_BYTES):
            return found[:number], item
    return found, None


def _size(item: Item) -> int:
    return sum(len(name) + _length(value) for name, value in item.items())


def _length(value: Any) -> int:
    content = next(iter(value.values()))
    return len(content) if isinstance(content, bytes) else len(str(content))


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)
