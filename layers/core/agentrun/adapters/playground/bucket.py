"""The bucket that the playground's files are served from."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from agentrun.adapters.playground.files import SiteFile
from agentrun.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NOT_THERE = "NoSuchBucket"


class SiteBucket:
    """A bucket that holds nothing but the files of one site."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def publish(self, files: Iterable[SiteFile]) -> None:
        """
        Put files in the given order, then delete what is not among them.

        A page that is open goes on with its old files until the new ones are there. Repeating it is
        safe.

        Raises:
            botocore.exceptions.ClientError: S3 refuses; what has been put stays.
            botocore.exceptions.BotoCoreError: S3 cannot be reached.
            StoreUnavailableError: S3 has not deleted all; retrying is safe.
        """
        kept = set()
        for file in files:
            self._client.put_object(
                Bucket=self._name,
                Key=file.path,
                Body=file.content,
                ContentType=file.content_type,
                CacheControl=file.cache_control,
            )
            kept.add(file.path)
        self._delete_all_but(kept)

    def empty(self) -> None:
        """
        Delete everything, so that the bucket can be deleted; none that is there is empty enough.

        Raises:
            botocore.exceptions.ClientError: S3 refuses.
            botocore.exceptions.BotoCoreError: S3 cannot be reached.
            StoreUnavailableError: S3 has not deleted all; retrying is safe.
        """
        try:
            self._delete_all_but(set())
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != _NOT_THERE:
                raise

    def _delete_all_but(self, kept: set[str]) -> None:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        for page in pages:
            # A page has as many keys as one deletion may have.
            stale = [entry["Key"] for entry in page.get("Contents", [])]
            stale = [key for key in stale if key not in kept]
            if stale:
                self._delete(stale)

    def _delete(self, keys: list[str]) -> None:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self._client.delete_objects(Bucket=self._name, Delete=wanted)  # type: ignore[arg-type] # the stubs want their own dictionary
        if refused := answer.get("Errors"):
            raise StoreUnavailableError(f"S3 deletes not all: {refused[0].get('Code')}.")
