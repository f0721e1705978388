"""What lies beside runs, in every `LargeObjects`."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from moto import mock_aws

from agentrun.adapters.s3.objects import S3LargeObjects
from agentrun.domain.ports import LargeObjects
from agentrun.domain.runs import RunKey
from tests.fakes.in_memory_objects import InMemoryLargeObjects

BUCKET = "objects"
REGION = {"LocationConstraint": "eu-west-1"}
KEY = RunKey(tenant="acme", run_id="run-1")


@pytest.fixture(params=["in_memory", "s3"])
def objects(request: pytest.FixtureRequest) -> Iterator[LargeObjects]:
    if request.param == "in_memory":
        yield InMemoryLargeObjects()
        return
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        client = boto3.client("s3", region_name="eu-west-1")
        configuration: Any = REGION
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
        yield S3LargeObjects(BUCKET)


def test_an_object_comes_back_byte_for_byte(objects: LargeObjects) -> None:
    content = bytes(range(256)) * 9_000
    objects.put(KEY, "steps/1-executor", content)
    assert objects.get(KEY, "steps/1-executor") == content


def test_a_later_object_takes_the_place_of_an_earlier_one(objects: LargeObjects) -> None:
    objects.put(KEY, "media", b"one")
    objects.put(KEY, "media", b"two")
    assert objects.get(KEY, "media") == b"two"


def test_there_may_be_none(objects: LargeObjects) -> None:
    assert objects.get(KEY, "media") is None


NEIGHBOURS = [
    RunKey(tenant="acme", run_id="run-10"),
    RunKey(tenant="acme", run_id="run"),
    RunKey(tenant="other", run_id="run-1"),
    RunKey(tenant="acme/run-1", run_id="x"),
    RunKey(tenant="acme%2Frun-1", run_id="x"),
    RunKey(tenant="..", run_id="run-1"),
    RunKey(tenant="\N{SNOWMAN}" * 256, run_id="run-1"),
    RunKey(tenant="\N{SNOWMAN}" * 255, run_id="run-1"),
]


def test_runs_have_nothing_in_common(objects: LargeObjects) -> None:
    for key in (KEY, *NEIGHBOURS):
        objects.put(key, "media", repr(key).encode())
    assert all(objects.get(key, "media") == repr(key).encode() for key in (KEY, *NEIGHBOURS))
    objects.delete(KEY)
    assert objects.get(KEY, "media") is None
    assert all(objects.get(key, "media") == repr(key).encode() for key in NEIGHBOURS)


def test_all_of_a_run_is_deleted(objects: LargeObjects) -> None:
    names = ["media", *(f"steps/{number}" for number in range(3))]
    for name in names:
        objects.put(KEY, name, b"x")
    for _ in range(2):
        objects.delete(KEY)
    assert [objects.get(KEY, name) for name in names] == [None] * 4
