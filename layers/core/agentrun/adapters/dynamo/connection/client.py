"""The DynamoDB client: when it gives up, what its failures mean, and how long a batch is tried."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from botocore.config import Config

from agentrun.adapters.dynamo.connection.light_client import light_session, lighten, user_agent
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


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
        # DynamoDB validates requests anyway; tests let botocore do it as well.
        parameter_validation=False,
        user_agent=user_agent(),
    )
    client = cast("DynamoDBClient", light_session().create_client("dynamodb", config=config))
    lighten(client)
    return client


FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.8
LONGEST_WITHOUT_PROGRESS_S = 4.0
LONGEST_S = 6.0
"""Two batches after each other, as for runs and their texts, end before the function's 15 s do."""


class Patience:
    """
    Asks again for what a batch leaves unprocessed: the one retry loop of the adapters.

    Args:
        sleep: Waits for some seconds.
        monotonic: Seconds that never go backwards.
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._monotonic = monotonic
        self._last_end = monotonic() + LONGEST_S
        self._renew()

    def ask_until_processed(self, ask: Callable[[Any], Any], pending: Any) -> None:
        """
        Ask until nothing is pending.

        Args:
            ask: Takes what is pending, and returns what was left of it.
            pending: A list of keys or writes for each table.

        Raises:
            StoreUnavailableError: There was no progress for 4 s, or no end within 6 s, all batches
                of this object together.
        """
        pause_s = FIRST_PAUSE_S
        while pending:
            before = _count(pending)
            pending = ask(pending)
            if not pending:
                self._renew()
                break
            if _count(pending) < before:
                self._renew()
                pause_s = FIRST_PAUSE_S
            # Full jitter: callers that were throttled together do not come back together.
            wait_s = random.uniform(0, pause_s)  # noqa: S311 - no secret depends on it
            if self._monotonic() + wait_s >= self._end:
                raise StoreUnavailableError("The store did not answer for all of a batch in time.")
            self._sleep(wait_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _renew(self) -> None:
        self._end = min(self._last_end, self._monotonic() + LONGEST_WITHOUT_PROGRESS_S)


def _count(pending: Any) -> int:
    """Count the keys of BatchGetItem, or the writes of BatchWriteItem."""
    return sum(
        len(asked["Keys"] if isinstance(asked, dict) else asked) for asked in pending.values()
    )
