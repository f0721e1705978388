"""BatchGetItem and BatchWriteItem until every key is answered, inside a time budget."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_items import Item
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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
