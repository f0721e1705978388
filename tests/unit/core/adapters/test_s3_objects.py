"""Failures of S3: what may pass, and what is a mistake of ours."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from agentrun.adapters.s3.objects import S3LargeObjects, s3_client
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.runs import RunKey
from tests.fakes.faults import RawBody

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = RunKey(tenant="acme", run_id="run-1")
CALLS: dict[str, Callable[[S3LargeObjects], object]] = {
    "put": lambda objects: objects.put(KEY, "media", b"x"),
    "get": lambda objects: objects.get(KEY, "media"),
    "delete": lambda objects: objects.delete(KEY),
}


@pytest.fixture
def client() -> "Iterator[S3Client]":
    with mock_aws():
        made = boto3.client("s3", region_name="eu-west-1")
        region: Any = {"LocationConstraint": "eu-west-1"}
        made.create_bucket(Bucket="objects", CreateBucketConfiguration=region)
        yield s3_client()


def answering(client: "S3Client", status: int, code: str) -> list[str]:
    """Answer every request with an error; return the list of their URLs."""
    asked: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked.append(request.url)
        body = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        return AWSResponse(request.url, status, HTTPHeaders(), RawBody(body))

    events: Any = client.meta.events
    events.register_first("before-send.s3", answer)
    return asked


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout")]
)
def test_a_failing_bucket_is_not_available(
    client: "S3Client", call: str, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    asked = answering(client, status, code)
    with pytest.raises(StoreUnavailableError):
        CALLS[call](S3LargeObjects("objects", lambda: client))
    assert len(asked) <= 3


@pytest.mark.parametrize("call", CALLS)
def test_a_silent_bucket_is_not_available(
    client: "S3Client", call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)

    def time_out(request: Any, **_: Any) -> None:
        raise ReadTimeoutError(endpoint_url=request.url)

    client.meta.events.register_first("before-send.s3", time_out)
    with pytest.raises(StoreUnavailableError):
        CALLS[call](S3LargeObjects("objects", lambda: client))


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_bucket_is_a_mistake(client: "S3Client", call: str) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        CALLS[call](S3LargeObjects("elsewhere", lambda: client))


def test_what_cannot_be_deleted_is_told(client: "S3Client") -> None:
    objects = S3LargeObjects("objects", lambda: client)
    objects.put(KEY, "media", b"x")

    def refuse(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Errors"] = [{"Key": "acme/run-1/media", "Code": "InternalError"}]

    client.meta.events.register("after-call.s3.DeleteObjects", refuse)
    with pytest.raises(StoreUnavailableError, match="Not all"):
        objects.delete(KEY)


def test_more_objects_than_a_page_has_are_deleted(client: "S3Client") -> None:
    objects = S3LargeObjects("objects", lambda: client)
    for number in range(1_001):
        client.put_object(Bucket="objects", Key=f"acme/run-1/{number}", Body=b"")
    objects.delete(KEY)
    assert client.list_objects_v2(Bucket="objects")["KeyCount"] == 0


def test_nobody_connects_who_needs_no_object(client: "S3Client") -> None:
    made: list[S3Client] = []

    def make() -> "S3Client":
        made.append(client)
        return client

    objects = S3LargeObjects("objects", make)
    assert not made
    for _ in range(2):
        objects.get(KEY, "media")
    assert made == [client]
