"""A local stack with short pings, and what all readers did with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, LocalStack, running_stack
from tests.readers.observing import Observations, observe_all

PING_AFTER_S = 0.1


@contextmanager
def readers_stack(scratch: Path) -> Iterator[LocalStack]:
    """Run this project's own stack, demo model, empty table, many pings."""
    parameters = {"PingAfter": PING_AFTER_S, "MaxRunsPerUser": 0, "MaxRunsPerTenant": 0}
    options = [
        part for each in parameters.items() for part in ("--parameter", "{}={}".format(*each))
    ]
    with running_stack(ROOT / "template.yaml", scratch, *options) as stack:
        yield stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Yield the stack that all readers read from."""
    with readers_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def observations(stack: LocalStack) -> Observations:
    """Put every reader into every situation, once."""
    return observe_all(stack)
