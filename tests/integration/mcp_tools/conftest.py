"""Two servers that do as they are told."""

from collections.abc import Iterator

import pytest

from tests.bedrock import BedrockServer, bedrock_server
from tests.mcp_server.scripted import ScriptedServer, scripted_server


@pytest.fixture(scope="package")
def _servers() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with scripted_server() as first, scripted_server() as second:
        yield first, second


@pytest.fixture
def server(_servers: tuple[ScriptedServer, ScriptedServer]) -> ScriptedServer:
    """Return a server that has not been asked anything yet, and answers as usual."""
    return _servers[0].reset()


@pytest.fixture
def other(_servers: tuple[ScriptedServer, ScriptedServer]) -> ScriptedServer:
    """Return a second one."""
    return _servers[1].reset()


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[BedrockServer]:
    """Serve a stand-in for Bedrock that boto3 finds by its environment."""
    with bedrock_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
