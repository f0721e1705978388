"""BatchGetItem until every key is answered, inside a time budget."""

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
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.8


class BatchReader:
    """Reads many items; what DynamoDB leaves unprocessed is asked for again."""

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
        Give the items that exist, in any order; reads may lag behind writes.

        Raises:
            StoreUnavailableError: Some keys stayed unanswered within the budget.
        """
        give_up_at = self._monotonic() + self._budget_s
        found: list[Item] = []
        for start in range(0, len(keys), MAX_KEYS):
            found += self._read_batch(list(keys[start : start + MAX_KEYS]), give_up_at)
        return found

    def _read_batch(self, keys: list[Item], give_up_at: float) -> list[Item]:
        found: list[Item] = []
        pause_s = FIRST_PAUSE_S
        pending: Any = {self._table: {"Keys": keys}}
        while pending:
            with unavailable_when_failing():
                answer = self._client.batch_get_item(RequestItems=pending)
            found += answer["Responses"].get(self._table, [])
            pending = answer.get("UnprocessedKeys")
            if not pending:
                break
            # Full jitter: callers that were throttled together do not come back together.
            wait_s = random.uniform(0, pause_s)  # noqa: S311 - no secret depends on it
            if self._monotonic() + wait_s >= give_up_at:
                raise StoreUnavailableError("The store did not answer for all runs in time.")
            self._sleep(wait_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        return found
