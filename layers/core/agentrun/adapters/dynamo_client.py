"""The DynamoDB client and what its failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

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
    return boto3.client("dynamodb", config=config)


def error_code(error: ClientError) -> str:
    """Give DynamoDB's name for an error."""
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
