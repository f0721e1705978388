"""An SQS and an S3 for the stack: the template's queues and buckets in moto's server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agentrun_local.errors import LocalStackError
from agentrun_local.template.cloudformation import REGION
from agentrun_local.template.resources import Queue

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OURS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def local_client(service: str, url: str, *, region: str = REGION, read_timeout_s: int = 10) -> Any:
    """Build a client of a stand-in for AWS that serves a service at a URL."""
    # Its overloads want each service's name to the letter.
    make = cast("Any", boto3.client)
    return make(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - what a stand-in takes for one
        config=Config(
            connect_timeout=2,
            read_timeout=read_timeout_s,
            retries={"total_max_attempts": 2},
            max_pool_connections=20,
        ),
    )


def create_queues(url: str, queues: Iterable[Queue], *, region: str = REGION) -> None:
    """
    Create the queues; those that exist keep their messages.

    Raises:
        LocalStackError: No SQS answers at the URL.
    """
    client = local_client("sqs", url, region=region)
    try:
        # One with a redrive policy needs the other queue, which has none itself.
        for queue in sorted(queues, key=lambda one: "RedrivePolicy" in one.attributes):
            attributes = {
                # The template's ARNs are of the region that it is read for.
                key: value.replace(f":sqs:{REGION}:", f":sqs:{region}:")
                for key, value in queue.attributes.items()
            }
            client.create_queue(QueueName=queue.name, Attributes=attributes)
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(f"No SQS answers at {url}: {error}") from error
    finally:
        client.close()


def create_buckets(url: str, names: Iterable[str], *, region: str = REGION) -> None:
    """
    Create the buckets; those that exist keep their objects.

    Raises:
        LocalStackError: No S3 answers at the URL.
    """
    client: S3Client = local_client("s3", url, region=region)
    # S3's oldest region must not be named.
    where: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        for name in names:
            try:
                client.create_bucket(Bucket=name, **({} if region == "us-east-1" else where))
            except ClientError as error:
                if error.response["Error"]["Code"] not in _OURS:
                    raise
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(f"No S3 answers at {url}: {error}") from error
    finally:
        client.close()
