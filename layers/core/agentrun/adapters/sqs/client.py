"""The SQS client: built at its first use, and when it gives up."""

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agentrun.adapters.dynamo.connection.light_client import light_session, user_agent
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sqs import SQSClient


@cache
def sqs_client() -> "SQSClient":
    """
    Return this process's client.

    Most runs send no message, so no cold start pays for it. Of two threads that come first, each
    may build one; both work.
    """
    config = Config(
        connect_timeout=1,
        # SendMessage answers within some ten milliseconds; nobody here polls.
        read_timeout=2,
        tcp_keepalive=True,
        retries={"total_max_attempts": 3, "mode": "standard"},
        user_agent=user_agent(),
    )
    return cast("SQSClient", light_session().create_client("sqs", config=config))


@contextmanager
def queue_failures() -> "Iterator[None]":
    """
    Tell what a failure of a call means.

    Raises:
        StoreUnavailableError: Whatever the queue's answer was; the cause says.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailableError("The queue of runs is not available.") from error
