"""The table: each way in which the stores read and write it, and what its failures mean."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from agentrun.adapters.dynamo.connection.client import Patience
from agentrun.adapters.dynamo.items import Item, Values, place_of
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETRYABLE_CODES = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
MAX_KEYS = 100
"""BatchGetItem's limit (API reference); its other one is 16 MB an answer."""
MAX_WRITES = 25
"""BatchWriteItem's limit (API reference)."""
_CONDITION_FAILED = "ConditionalCheckFailed"
_PASSING = frozenset(
    {
        "TransactionConflict",
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "RequestLimitExceeded",
    }
)
"""Why a write may be refused that will be taken later (TransactWriteItems API reference)."""
_ALIAS = re.compile(r"#(\w+)")


class ConditionFailedError(Exception):
    """A write's condition does not hold; nothing was written."""

    def __init__(self, item: Item) -> None:
        super().__init__("the condition does not hold")
        self.item = item
        """The item as it is; empty where there is none, or where the write does not ask for it."""


class TransactionRefusedError(Exception):
    """The conditions of some writes of a transaction do not hold; nothing was written."""

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__([reason.get("Code") for reason in reasons])
        self._reasons = reasons

    def is_of(self, write: int) -> bool:
        """Tell whether it was this write's condition."""
        return self._reasons[write].get("Code") == _CONDITION_FAILED

    def item(self, write: int) -> Item:
        """Return the item as it is; empty where there is none, or the write does not ask for it."""
        item: Item = self._reasons[write].get("Item", {})
        return item


@dataclass(frozen=True)
class Write:
    """
    One write, and the condition under which it is made.

    Args:
        kind: What is done; a ConditionCheck writes nothing, and is for transactions.
        at: The item that is put, or else the key.
        update: The expression of an Update.
        condition: What has to hold; empty: nothing.
        values: What the expressions call `:name`.
        names: What they call `#alias`, unless that is the attribute's own name.
        asks: Whether a refusal comes with the item as it is.
    """

    kind: Literal["Put", "Update", "Delete", "ConditionCheck"]
    at: Item
    update: str = ""
    condition: str = ""
    values: Values = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    asks: bool = False

    def request(self, table: str) -> dict[str, Any]:
        """Return the write as DynamoDB takes it."""
        optional = {
            "UpdateExpression": self.update,
            "ConditionExpression": self.condition,
            "ExpressionAttributeNames": _names(self.update, self.condition) | {**self.names},
            "ExpressionAttributeValues": self.values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD" if self.asks else "",
        }
        given = {name: value for name, value in optional.items() if value}
        return {"TableName": table, "Item" if self.kind == "Put" else "Key": self.at, **given}


@dataclass(frozen=True)
class Query:
    """
    What is read of one partition, of the table or of an index.

    Args:
        condition: Which keys.
        values: What the expressions call `:name`.
        filtered: Which of the items; a page may be left with none.
        only: Which of their attributes; empty: all.
        index: Where, if not in the table itself.
        newest_first: Whether the highest sort keys come first.
        consistent: Whether what was written just before has to be seen; not of an index.
    """

    condition: str
    values: Values
    filtered: str = ""
    only: str = ""
    index: str = ""
    newest_first: bool = False
    consistent: bool = True

    def request(self, table: str) -> dict[str, Any]:
        """Return the query as DynamoDB takes it."""
        optional = {
            "IndexName": self.index,
            "FilterExpression": self.filtered,
            "ProjectionExpression": self.only,
            "ExpressionAttributeNames": _names(self.filtered, self.only),
            "ConsistentRead": self.consistent,
        }
        return {
            "TableName": table,
            "KeyConditionExpression": self.condition,
            "ExpressionAttributeValues": self.values,
            "ScanIndexForward": not self.newest_first,
            **{name: value for name, value in optional.items() if value},
        }


class Table:
    """
    The project's table, through one client.

    Every method raises StoreUnavailableError where DynamoDB throttles, fails or cannot be reached:
    nothing is known of the outcome then, and retrying is safe for reads, and for writes that tell
    their own earlier success. Any other failure is a mistake of ours, and passes as it is.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Take a client and the table's name.

        Args:
            client: With which to read and write.
            name: The table's name.
            sleep: Waits between tries of a batch.
            monotonic: Measures them.
        """
        self._client = client
        self._name = name
        self._sleep = sleep
        self._monotonic = monotonic

    def item(self, key: Item) -> Item:
        """Read one item, with all that was written before; empty where there is none."""
        with unavailable_when_failing():
            answer = self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        return answer.get("Item", {})

    def items(self, keys: Sequence[Item], *, consistent: bool) -> list[Item]:
        """
        Read any number of items; return those that exist, in any order.

        DynamoDB answers with at most 16 MB a call and 1 MB a partition (BatchGetItem API
        reference); it is asked again for the rest, and for keys that were throttled.

        Args:
            keys: One that is there twice is read once.
            consistent: Whether what was written just before has to be seen.
        """
        found: list[Item] = []

        def ask(pending: Any) -> Any:
            with unavailable_when_failing():
                answer = self._client.batch_get_item(RequestItems=pending)
            found.extend(answer["Responses"].get(self._name, []))
            return answer.get("UnprocessedKeys")

        distinct, patience = _distinct(keys), Patience(self._sleep, self._monotonic)
        for start in range(0, len(distinct), MAX_KEYS):
            batch = {"Keys": distinct[start : start + MAX_KEYS], "ConsistentRead": consistent}
            patience.ask_until_processed(ask, {self._name: batch})
        return found

    def pages(self, query: Query, *, page_size: int | None = None) -> Iterator[list[Item]]:
        """Yield what a query finds, page by page: at most 1 MB each (Query API reference)."""
        config: Any = {} if page_size is None else {"PageSize": page_size}
        pages = self._client.get_paginator("query").paginate(
            **query.request(self._name), PaginationConfig=config
        )
        with unavailable_when_failing():
            for page in pages:
                yield list(page["Items"])

    def count(self, query: Query, *, at_most: int | None = None) -> tuple[int, Item | None]:
        """
        Count what a query finds without reading it out, one page of it.

        Returns:
            How many there are, and the key of the last one where there may be more.
        """
        limit: Any = {} if at_most is None else {"Limit": at_most}
        with unavailable_when_failing():
            answer = self._client.query(**query.request(self._name), Select="COUNT", **limit)
        return answer["Count"], answer.get("LastEvaluatedKey")

    def write(
        self, write: Write, *, returning: Literal["ALL_NEW", "UPDATED_NEW", "NONE"] = "NONE"
    ) -> Item:
        """
        Make one write.

        Returns:
            What is asked for of an updated item.

        Raises:
            ConditionFailedError: Nothing was written.
        """
        request = write.request(self._name)
        calls: dict[str, Callable[..., Any]] = {
            "Put": self._client.put_item,
            "Update": self._client.update_item,
            "Delete": self._client.delete_item,
        }
        if returning != "NONE":
            request["ReturnValues"] = returning
        try:
            with unavailable_when_failing():
                answer = calls[write.kind](**request)
        except ClientError as error:
            if _code(error) != f"{_CONDITION_FAILED}Exception":
                raise
            response: Any = error.response
            raise ConditionFailedError(response.get("Item", {})) from error
        attributes: Item = answer.get("Attributes", {})
        return attributes

    def writes(self, write: Write) -> bool:
        """Make a write if its condition holds; tell whether it did."""
        try:
            self.write(write)
        except ConditionFailedError:
            return False
        return True

    def write_all(self, writes: Sequence[Write]) -> None:
        """
        Make all writes or none.

        botocore gives each call a ClientRequestToken, by which DynamoDB takes a request that comes
        twice within ten minutes, its own retry or a late copy, for one. The next call has another.

        Raises:
            TransactionRefusedError: Some conditions do not hold.
        """
        items: Any = [{write.kind: write.request(self._name)} for write in writes]
        try:
            with unavailable_when_failing():
                self._client.transact_write_items(TransactItems=items)
        except ClientError as error:
            if _code(error) != "TransactionCanceledException":
                raise
            response: Any = error.response
            reasons = response.get("CancellationReasons", [])
            codes = {reason.get("Code") for reason in reasons}
            if _CONDITION_FAILED in codes:
                raise TransactionRefusedError(reasons) from error
            if codes & _PASSING:
                raise StoreUnavailableError("The store is busy with this session.") from error
            raise

    def put_all(self, items: Sequence[Item]) -> None:
        """Put items of distinct keys, whatever is there; after a failure some may be missing."""
        self._batch([{"PutRequest": {"Item": item}} for item in items])

    def delete_all(self, keys: Sequence[Item]) -> None:
        """Delete items, if they are there; after a failure some may be left."""
        self._batch([{"DeleteRequest": {"Key": key}} for key in _distinct(keys)])

    def _batch(self, requests: Sequence[Mapping[str, Any]]) -> None:
        def ask(pending: Any) -> Any:
            with unavailable_when_failing():
                return self._client.batch_write_item(RequestItems=pending).get("UnprocessedItems")

        patience = Patience(self._sleep, self._monotonic)
        for start in range(0, len(requests), MAX_WRITES):
            batch = list(requests[start : start + MAX_WRITES])
            patience.ask_until_processed(ask, {self._name: batch})


@contextmanager
def unavailable_when_failing() -> Iterator[None]:
    """
    Turn throttling, time-outs and server failures into the domain's error.

    Raises:
        StoreUnavailableError: Instead of those; any other error passes as it is.
    """
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if _code(error) in RETRYABLE_CODES or status >= 500:
            raise StoreUnavailableError("The store is not available at the moment.") from error
        raise
    except ParamValidationError:
        # Nothing was sent, and no retry would change that.
        raise
    except BotoCoreError as error:
        raise StoreUnavailableError("The store cannot be reached at the moment.") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _names(*expressions: str) -> dict[str, str]:
    """Return the attributes that expressions call by `#` and the attribute's own name."""
    return {f"#{name}": name for text in expressions for name in _ALIAS.findall(text)}


def _distinct(keys: Sequence[Item]) -> list[Item]:
    """Drop keys that are there twice: DynamoDB refuses a batch that has any."""
    return list({place_of(key): key for key in keys}.values())
