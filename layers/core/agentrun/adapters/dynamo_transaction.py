"""Several writes to the table, all or none."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo_client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo_items import Item
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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


class TransactionRefusedError(Exception):
    """The conditions of some of the writes did not hold; nothing was written."""

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__([reason.get("Code") for reason in reasons])
        self._reasons = reasons

    def is_of(self, write: int) -> bool:
        """Tell whether it was this write's condition."""
        return self._reasons[write].get("Code") == _CONDITION_FAILED

    def item(self, write: int) -> Item:
        """Give the item as it was in the way; empty where there was none."""
        item: Item = self._reasons[write].get("Item", {})
        return item


def write_all(client: "DynamoDBClient", writes: Sequence[Mapping[str, Any]]) -> None:
    """
    Make all writes or none.

    botocore gives each call a ClientRequestToken, by which DynamoDB takes a request that comes
    twice within ten minutes, its own retry or a late copy, for one. The next call has another.

    Raises:
        TransactionRefusedError: Some conditions did not hold.
        StoreUnavailableError: Nothing is known of the outcome; retrying is safe only for writes
            that tell their own earlier success.
    """
    untyped: Any = writes
    try:
        with unavailable_when_failing():
            client.transact_write_items(TransactItems=untyped)
    except ClientError as error:
        if error_code(error) != "TransactionCanceledException":
            raise
        reasons: Any = error.response.get("CancellationReasons", [])
        codes = {reason.get("Code") for reason in reasons}
        if _CONDITION_FAILED in codes:
            raise TransactionRefusedError(reasons) from error
        if codes & _PASSING:
            raise StoreUnavailableError("The store is busy with this session.") from error
        raise
