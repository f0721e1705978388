"""The table, as the template describes it: in this process, or in one that others can reach."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from agentrun.adapters.dynamo.connection.light_client import lighten
from agentrun_local.machine.moto_transactions import copy_what_is_touched
from tests.server_process import ServerDiedError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "runs"
copy_what_is_touched()
_LISTENING = re.compile(r"Running on (http://\S+)")


def client_of(endpoint_url: str | None = None) -> "DynamoDBClient":
    """Build a client that sends and reads as the functions' own, and validates what is asked."""
    client = boto3.client(
        "dynamodb",
        region_name="eu-west-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    lighten(client)
    return client


def create_table(client: "DynamoDBClient", name: str = TABLE) -> None:
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "gsi1pk", "gsi1sk")
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "sessions",
                "KeySchema": [
                    {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                    {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


def stored_table(name: str = TABLE) -> Table:
    """Return a table of this process as moto keeps it, to look at or to put back."""
    return dynamodb_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"].tables[name]


@contextmanager
def mocked_table() -> Iterator["DynamoDBClient"]:
    """Stand in for AWS in this process, with an empty table."""
    with mock_aws():
        client = client_of()
        create_table(client)
        yield client


@contextmanager
def dynamodb_server(scratch: Path) -> Iterator[str]:
    """Serve an empty table, with moto made atomic; gives the URL."""
    log = scratch / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "agentrun_local.machine.moto_process"],
            env={"PATH": os.environ["PATH"]},
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = _LISTENING.search(process.stdout.readline())
            if said is None:
                raise ServerDiedError(log.read_text(errors="replace"))
            create_table(client_of(said[1]))
            yield said[1]
        finally:
            process.terminate()
