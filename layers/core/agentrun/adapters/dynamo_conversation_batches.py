"""Many items at once for conversations: strongly consistent reads, and deletes."""

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo_batch import FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_KEYS
from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_items import Item
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_WRITES = 25
"""BatchWriteItem's limit (API reference)."""


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

    def read(self, keys: Sequence[Item]) -> list[Item]:
        """
        Give the items that exist, in any order, with all that was written before.

        Raises:
            StoreUnavailableError: Some keys stayed unanswered within the budget.
        """
        found: list[Item] = []

        def ask(pending: Any) -> Any:
            answer = self._client.batch_get_item(RequestItems=pending)
            found.extend(answer["Responses"].get(self._table, []))
            return answer.get("UnprocessedKeys")

        for start in range(0, len(keys), MAX_KEYS):
            batch = {"Keys": list(keys[start : start + MAX_KEYS]), "ConsistentRead": True}
            self._until_processed(ask, {self._table: batch})
        return found

    def delete(self, keys: Sequence[Item]) -> None:
        """
        Delete items; one that is not there is no error.

        Raises:
            StoreUnavailableError: Some may be left; retrying is safe.
        """

        def ask(pending: Any) -> Any:
            return self._client.batch_write_item(RequestItems=pending).get("UnprocessedItems")

        for start in range(0, len(keys), MAX_WRITES):
            batch = [{"DeleteRequest": {"Key": key}} for key in keys[start : start + MAX_WRITES]]
            self._until_processed(ask, {self._table: batch})

    def _until_processed(self, ask: Callable[[Any], Any], pending: Any) -> None:
        give_up_at = self._monotonic() + self._budget_s
        pause_s = FIRST_PAUSE_S
        while pending:
            with unavailable_when_failing():
                pending = ask(pending)
            if not pending:
                break
            # Full jitter: callers that were throttled together do not come back together.
            wait_s = random.uniform(0, pause_s)  # noqa: S311 - no secret depends on it
            if self._monotonic() + wait_s >= give_up_at:
                raise StoreUnavailableError("The store did not take all of a batch in time.")
            self._sleep(wait_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
