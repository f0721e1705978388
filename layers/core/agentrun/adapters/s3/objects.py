"""Large objects in a bucket, each below its tenant and its run."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.session import Session

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_TENANT_BYTES = 640
"""A key may have 1024 bytes (S3 user guide, "Naming Amazon S3 objects"); the rest is for a name."""
_RETRYABLE = frozenset({"RequestTimeout", "RequestTimeTooSkewed", "Throttling", "SlowDown"})
"""Codes that come with a status below 500, or may (S3 API reference, "Error responses")."""


def s3_client() -> "S3Client":
    """Build a client that gives up early; its time-outs leave room for some megabytes."""
    config = Config(
        connect_timeout=1,
        read_timeout=5,
        tcp_keepalive=True,
        retries={"total_max_attempts": 3, "mode": "standard"},
    )
    return cast("S3Client", Session().create_client("s3", config=config))


class S3LargeObjects:
    """The port `LargeObjects` on a bucket; connects with the first object."""

    def __init__(self, bucket: str, new_client: "Callable[[], S3Client]" = s3_client) -> None:
        """
        Take the bucket's name.

        Args:
            bucket: The bucket; `GetObject` tells what is missing only to who may `ListBucket`.
            new_client: Builds the client. That takes a tenth of a second, and most invocations
                need none.
        """
        self._bucket = bucket
        self._new_client = new_client

    @cached_property
    def _client(self) -> "S3Client":
        return self._new_client()

    def put(self, key: RunKey, name: str, content: bytes) -> None:
        """Store an object in the place of any earlier one."""
        with _unavailable_when_failing():
            self._client.put_object(Bucket=self._bucket, Key=_prefix(key) + name, Body=content)

    def get(self, key: RunKey, name: str) -> bytes | None:
        """Read an object; None where there is none."""
        with _unavailable_when_failing():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=_prefix(key) + name)
            except self._client.exceptions.NoSuchKey:
                return None
            return found["Body"].read()

    def delete(self, key: RunKey) -> None:
        """Delete all objects of a run."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=_prefix(key)
        )
        with _unavailable_when_failing():
            # A page has as many keys as one deletion may have.
            for page in pages:
                found = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
                if found:
                    self._delete(found)

    def _delete(self, found: list[dict[str, str]]) -> None:
        wanted = {"Objects": found, "Quiet": True}
        answer = self._client.delete_objects(Bucket=self._bucket, Delete=wanted)  # type: ignore[arg-type] # the stubs want their own dictionary
        if answer.get("Errors"):
            raise StoreUnavailableError("Not all objects of a run could be deleted.")


def _prefix(key: RunKey) -> str:
    """
    Return what the keys of a run's objects begin with, and nobody else's.

    A tenant is percent-encoded, dots included, so that it is one segment and no relative one. A
    digest stands for one that is too long; no encoded name begins as it does.
    """
    tenant = quote(key.tenant, safe="").replace(".", "%2E")
    if len(tenant) > LONGEST_TENANT_BYTES:
        tenant = f"%sha256-{hashlib.sha256(key.tenant.encode()).hexdigest()}"
    return f"{tenant}/{key.run_id}/"


@contextmanager
def _unavailable_when_failing() -> Iterator[None]:
    """
    Turn throttling, time-outs and server failures into the domain's error.

    Raises:
        StoreUnavailableError: Instead of those; any other error, such as a bucket that is not
            there, is a mistake of ours and passes as it is.
    """
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error.response.get("Error", {}).get("Code") in _RETRYABLE or status >= 500:
            raise StoreUnavailableError("The bucket is not available at the moment.") from error
        raise
    except ParamValidationError:
        # Nothing was sent, and no retry would change that.
        raise
    except BotoCoreError as error:
        raise StoreUnavailableError("The bucket cannot be reached at the moment.") from error
