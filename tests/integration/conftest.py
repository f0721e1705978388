"""The functions' own modules, wired as on Lambda, on a table in this process."""

import asyncio
import importlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from tests.bedrock import BedrockServer, bedrock_server
from tests.contract.test_token_verifier import JWKS, token
from tests.lambda_runtime.calls import ScriptedRuntimeApi
from tests.queues import BUCKET, QUEUE_URL, create_bucket, create_queue, sqs_client_of
from tests.tables import TABLE, client_of, mocked_table

EVENTS = Path(__file__).resolve().parents[2] / "events"
ENVIRONMENT = {
    "AGENTRUN_TABLE": TABLE,
    "AGENTRUN_BUCKET": BUCKET,
    "AGENTRUN_RUN_QUEUE_URL": QUEUE_URL,
    "AGENTRUN_MODEL": "demo",
    "AGENTRUN_JWT_ISSUER": "https://issuer.test",
    "AGENTRUN_JWT_AUDIENCE": "agentrun",
    "AGENTRUN_JWKS": json.dumps(JWKS),
    "AGENTRUN_ORG_CLAIM": "org",
    "AGENTRUN_CORS_ORIGINS": "https://app.example",
    "AGENTRUN_DEMO_DELAY_MS": "0",
    "AGENTRUN_STREAM_URL": "https://h3xq7zexampleurlid0000000000abcd.lambda-url.eu-west-1.on.aws/",
    "POWERTOOLS_SERVICE_NAME": "test",
}
Bearer = Callable[..., dict[str, str]]
AppModule = Callable[[str], ModuleType]
Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@contextmanager
def deployment(**environment: str) -> Iterator[AppModule]:
    """Import a function's `app` afresh, with the settings above or others, on an empty account."""
    with mocked_table(), pytest.MonkeyPatch.context() as patch:
        create_queue(sqs_client_of())
        create_bucket()
        for name, value in {**ENVIRONMENT, **environment}.items():
            patch.setenv(name, value)
        # Mangum takes the thread's event loop, and would leave one of its own making open.
        with closing(asyncio.new_event_loop()) as loop:
            asyncio.set_event_loop(loop)
            yield lambda name: importlib.reload(importlib.import_module(f"functions.{name}.app"))
            asyncio.set_event_loop(None)


@pytest.fixture(scope="module")
def app_module() -> Iterator[AppModule]:
    """Import a function's `app` as `deployment` does, for all tests of a file."""
    with deployment() as app_module:
        yield app_module


@pytest.fixture(scope="module")
def stream(app_module: AppModule) -> TestClient:
    """Return a client of the stream function's app."""
    return TestClient(app_module("stream").app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def handler(app_module: AppModule) -> Handler:
    """Return the status function's handler."""
    handler: Handler = app_module("status").handler
    return handler


@pytest.fixture(scope="module")
def store(handler: Handler) -> DynamoRunStore:
    """Return a store of the runs that the status function shows."""
    return DynamoRunStore(Table(client_of(), TABLE))


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[BedrockServer]:
    """Run a server in the place of Bedrock; it must never be sent what Bedrock would refuse."""
    with bedrock_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
        assert server.refused == []


@pytest.fixture
async def api() -> AsyncIterator[ScriptedRuntimeApi]:
    """Run a Runtime API whose invocations a test scripts."""
    async with ScriptedRuntimeApi() as server:
        yield server


@pytest.fixture(scope="session")
def bearer() -> Bearer:
    """Return the header of a fresh token with these claims."""
    return lambda **claims: {"Authorization": f"Bearer {token(**claims)}"}


def event_file(name: str, **claims: Any) -> dict[str, Any]:
    """Read an event with a fresh token, and the identity that the authorizer makes of it."""
    text = (EVENTS / name).read_text().replace("${TOKEN}", token(**claims))
    event: dict[str, Any] = json.loads(text)
    identity = event.get("requestContext", {}).get("authorizer")
    if identity is not None:
        identity["exp"] = str(int(time.time()) + 600)
    return event
