"""Each port's suite runs on its fake and on every real adapter."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto import mock_aws

from agentrun.adapters.dynamo_event_log import DynamoEventLog
from agentrun.adapters.dynamo_run_store import DynamoRunStore
from agentrun.domain.ports import EventLog, RunStore
from tests.dynamodb_server import dynamodb_server
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.tables import TABLE, client_of, create_table


@dataclass
class Stores:
    runs: RunStore
    log: EventLog


@pytest.fixture(params=["in_memory", "dynamo"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "in_memory":
        log = InMemoryEventLog()
        yield Stores(InMemoryRunStore(log), log)
        return
    with mock_aws():
        client = client_of()
        create_table(client)
        yield Stores(DynamoRunStore(client, TABLE), DynamoEventLog(client, TABLE))


@pytest.fixture(scope="module")
def atomic_table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Give the adapter on a server that makes conditional writes one at a time."""
    folder: Path = tmp_path_factory.mktemp("atomic")
    with dynamodb_server(folder) as url:
        client = client_of(url)
        yield Stores(DynamoRunStore(client, TABLE), DynamoEventLog(client, TABLE))
        # An open connection holds up the server's end.
        client.close()
