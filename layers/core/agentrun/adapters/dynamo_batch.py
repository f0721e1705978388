"""BatchGetItem and BatchWriteItem until every key is answered, inside a time budget."""

import random
import time
from collections.abc import Callable, Sequence
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


class DynamoBatches:
    """Reads and deletes by key; what DynamoDB leaves unprocessed is asked for again."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        budget_s: float = 4.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._table = table
        self._budget_s = budget_s
        self._sleep = sleep
        self._monotonic = monotonic

    def read(self, keys: Sequence[Item], *, consistent: bool) -> list[Item]:
        """
        Give the items that exist, in any order; reads that are not `consistent` may lag behind.

        Raises:
            StoreUnavailableError: Some keys stayed unanswered within the budget.
        """
        found: list[Item] = []
        give_up_at = self._give_up_at()

        def ask(pending: Any) -> Any:
            answer = self._client.batch_get_item(RequestItems=pending)
            found.extend(answer["Responses"].get(self._table, []))
            return answer.get("UnprocessedKeys")

        for start in range(0, len(keys), MAX_KEYS):
            batch = {"Keys": list(keys[start : start + MAX_KEYS]), "ConsistentRead": consistent}
            self._until_processed(ask, {self._table: batch}, give_up_at)
        return found

    def delete(self, keys: Sequence[Item]) -> None:
        """
        Delete items; one that is not there is no error.

        Raises:
            StoreUnavailableError: Some may be left; retrying is safe.
        """

        give_up_at = self._give_up_at()

        def ask(pending: Any) -> Any:
            return self._client.batch_write_item(RequestItems=pending).get("UnprocessedItems")

        for start in range(0, len(keys), MAX_WRITES):
            batch = [{"DeleteRequest": {"Key": key}} for key in keys[start : start + MAX_WRITES]]
            self._until_processed(ask, {self._table: batch}, give_up_at)

    def _give_up_at(self) -> float:
        return self._monotonic() + self._budget_s

    def _until_processed(self, ask: Callable[[Any], Any], pending: Any, give_up_at: float) -> None:
        pause_s = FIRST_PAUSE_S
        while pending:
            with unavailable_when_failing():
                pending = ask(pending)
            if not pending:
                break
            # Full jitter: callers that were throttled together do not come back together.
            wait_s = random.uniform(0, pause_s)  # noqa: S311 - no secret depends on it
            if self._monotonic() + wait_s >= give_up_at:
                raise StoreUnavailableError("The store did not answer for all of a batch in time.")
            self._sleep(wait_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
