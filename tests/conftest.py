"""Shared by all tests: no AWS account, no network outside this machine."""

import gc
import logging
import socket
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.loaders import Loader
from hypothesis import settings

from agentrun.adapters.dynamo.connection import light_client
from tests.order import in_order
from tests.tables import dynamodb_server, mocked_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LOOPBACK = ("127.0.0.1", "::1", "localhost")
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("agentrun", deadline=None)
settings.load_profile("agentrun")


class OutsideNetworkError(Exception):
    """A test tried to leave the machine."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into the order in which workers take them, file by file."""
    items[:] = in_order(items)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _one_reading_of_botocores_files() -> Iterator[None]:
    """Let the sessions of all tests share what they read: a client costs a test 0.1 s else."""
    plain = Loader(file_loader=light_client._PlainFiles())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        patch.setattr(light_client, "Loader", lambda **_: plain)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_network_outside_loopback() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    real_connect = socket.socket.connect
    real_getaddrinfo = socket.getaddrinfo

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in LOOPBACK:
            raise OutsideNetworkError(address)
        real_connect(self, address)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (*LOOPBACK, None, b"127.0.0.1", b"localhost"):
            raise OutsideNetworkError(host)
        return real_getaddrinfo(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def _aws_environment() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        patch.delenv(name, raising=False)
    for name, value in AWS_ENVIRONMENT.items():
        patch.setenv(name, value)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="module")
def _own_logging() -> Iterator[None]:
    """Undo what a function's module does to its process's logging, for the next test module."""
    loggers = [logging.getLogger(name) for name in ("", "agentrun", "agent_catalog")]
    states = [(log.level, log.propagate, list(log.handlers)) for log in loggers]
    # pytest's own, which are the same for all modules.
    filters = [(handler, list(handler.filters)) for handler in loggers[0].handlers]
    yield
    for log, (level, propagate, handlers) in zip(loggers, states, strict=True):
        log.setLevel(level)
        log.propagate = propagate
        if log.name != "root":
            log.handlers = handlers
    for handler, before in filters:
        handler.filters = before


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    """Return a client of an empty table in this process."""
    with mocked_table() as client:
        yield client


@pytest.fixture(scope="module")
def dynamodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of an empty table that other processes can reach, too."""
    with dynamodb_server(tmp_path_factory.mktemp("dynamodb")) as url:
        yield url
