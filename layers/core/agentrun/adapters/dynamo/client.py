"""The DynamoDB client: what its failures mean, whole batches, writes that are all or none."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.session import get_session

from agentrun.adapters.dynamo.items import Item
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


def dynamo_client(*, retry_mode: Literal["legacy", "standard"]) -> "DynamoDBClient":
    """
    Build a client that gives up early.

    Args:
        retry_mode: `legacy` surfaces a throttle after about 0.15 s, for a writer with a buffer of
            its own; `standard` backs off for longer, for a reader that has nothing to fall back on.
    """
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        tcp_keepalive=True,
        # One connection for each run that one process can execute at once.
        max_pool_connections=64,
        retries={"total_max_attempts": 3, "mode": retry_mode},
    )
    # Without boto3, whose import and session are a tenth of a cold start and add nothing to it.
    return cast("DynamoDBClient", get_session().create_client("dynamodb", config=config))


def error_code(error: ClientError) -> str:
    """Return DynamoDB's name for an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


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
        if error_code(error) in RETRYABLE_CODES or status >= 500:
            raise StoreUnavailableError("The store is not available at the moment.") from error
        raise
    except ParamValidationError:
        # Nothing was sent, and no retry would change that.
        raise
    except BotoCoreError as error:
        raise StoreUnavailableError("The store cannot be reached at the moment.") from error


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
        """Return the item as it was in the way; empty where there was none."""
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


MAX_KEYS = 100
"""BatchGetItem's limit (API reference); its other one is 16 MB an answer."""
MAX_WRITES = 25
"""BatchWriteItem's limit (API reference)."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.8
LONGEST_S = 6.0
"""Two batches after each other, as for runs and their texts, end before the function's 15 s do."""


class DynamoBatches:
    """Reads, puts and deletes by key; what DynamoDB leaves unprocessed is asked for again."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        budget_s: float = 4.0,
        longest_s: float = LONGEST_S,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._table = table
        self._budget_s = budget_s
        self._longest_s = longest_s
        self._sleep = sleep
        self._monotonic = monotonic

    def read(self, keys: Sequence[Item], *, consistent: bool) -> list[Item]:
        """
        Return the items that exist, in any order; reads that are not `consistent` may lag behind.

        DynamoDB answers with at most 16 MB a call and 1 MB a partition (BatchGetItem API
        reference); it is asked again for the rest, and for keys that were throttled.

        Args:
            keys: Any number; one that is there twice is read once.
            consistent: Whether what was written just before has to be seen.

        Raises:
            StoreUnavailableError: No key was answered for 4 s, or not all of them within 6 s.
                Retrying is safe.
        """
        found: list[Item] = []
        keys = _distinct(keys)
        patience = self._patience()

        def ask(pending: Any) -> Any:
            answer = self._client.batch_get_item(RequestItems=pending)
            found.extend(answer["Responses"].get(self._table, []))
            return answer.get("UnprocessedKeys")

        for start in range(0, len(keys), MAX_KEYS):
            batch = {"Keys": list(keys[start : start + MAX_KEYS]), "ConsistentRead": consistent}
            self._until_processed(ask, {self._table: batch}, patience)
        return found

    def delete(self, keys: Sequence[Item]) -> None:
        """
        Delete items; one that is not there is no error.

        Raises:
            StoreUnavailableError: Some may be left; retrying is safe.
        """
        self._write([{"DeleteRequest": {"Key": key}} for key in _distinct(keys)])

    def put(self, items: Sequence[Item]) -> None:
        """
        Put items of distinct keys, whatever is there.

        Raises:
            StoreUnavailableError: Some may be missing; retrying is safe.
        """
        self._write([{"PutRequest": {"Item": item}} for item in items])

    def _write(self, requests: Sequence[Mapping[str, Any]]) -> None:
        patience = self._patience()

        def ask(pending: Any) -> Any:
            return self._client.batch_write_item(RequestItems=pending).get("UnprocessedItems")

        for start in range(0, len(requests), MAX_WRITES):
            batch = list(requests[start : start + MAX_WRITES])
            self._until_processed(ask, {self._table: batch}, patience)

    def _patience(self) -> "_Patience":
        return _Patience(self._monotonic, self._budget_s, self._longest_s)

    def _until_processed(
        self, ask: Callable[[Any], Any], pending: Any, patience: "_Patience"
    ) -> None:
        pause_s = FIRST_PAUSE_S
        while pending:
            before = _count(pending)
            with unavailable_when_failing():
                pending = ask(pending)
            if not pending:
                patience.renew()
                break
            if _count(pending) < before:
                patience.renew()
                pause_s = FIRST_PAUSE_S
            # Full jitter: callers that were throttled together do not come back together.
            wait_s = random.uniform(0, pause_s)  # noqa: S311 - no secret depends on it
            if patience.ends_within(wait_s):
                raise StoreUnavailableError("The store did not answer for all of a batch in time.")
            self._sleep(wait_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


class _Patience:
    """How long a batch is waited for: so long without progress, and so long in all."""

    def __init__(
        self, monotonic: Callable[[], float], without_progress_s: float, in_all_s: float
    ) -> None:
        self._monotonic = monotonic
        self._without_progress_s = without_progress_s
        self._last_end = monotonic() + in_all_s
        self.renew()

    def renew(self) -> None:
        """Say that there was progress."""
        self._end = min(self._last_end, self._monotonic() + self._without_progress_s)

    def ends_within(self, seconds: float) -> bool:
        """Tell whether it will not last so long."""
        return self._monotonic() + seconds >= self._end


def _distinct(keys: Sequence[Item]) -> list[Item]:
    """Drop keys that are there twice: DynamoDB refuses a batch that has any."""
    return list({(key["pk"]["S"], key["sk"]["S"]): key for key in keys}.values())


def _count(pending: Mapping[str, Any]) -> int:
    """Count the keys of BatchGetItem, or the writes of BatchWriteItem, of the one table."""
    return sum(
        len(asked["Keys"] if isinstance(asked, Mapping) else asked) for asked in pending.values()
    )
