"""Each port's suite runs on its fake and on every real adapter."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agentrun.adapters.dynamo.connection.client import dynamo_client
from tests.contract.stores import Stores
from tests.tables import client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(params=["in_memory", "dynamo"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "in_memory":
        return Stores.in_memory()
    return Stores.on_dynamo(request.getfixturevalue("client"))


@pytest.fixture(scope="module")
def atomic_table(dynamodb_url: str) -> Iterator[Stores]:
    """Return the adapter on a server that makes conditional writes one at a time."""
    # An open connection holds up the server's end.
    with closing(client_of(dynamodb_url)) as client:
        yield Stores.on_dynamo(client)


@pytest.fixture
def retrying_client(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> "DynamoDBClient":
    """Return a client as the adapters use it, with the retries that it makes by itself."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url)
    return dynamo_client(retry_mode="legacy")
