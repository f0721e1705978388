"""Stand-ins for DynamoDB, each in its own process."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.processes import ProcessEndedError, running
from tests.tables import client_of, create_table

_LISTENING = re.compile(r"Running on (http://\S+)")
_START_TIMEOUT_S = 60


@asynccontextmanager
async def moto_store() -> AsyncIterator[str]:
    """Run moto's server with the project's table; yield its URL."""
    async with _store("moto.server", "-H", "127.0.0.1", "-p", "0") as url:
        await asyncio.to_thread(create_table, client_of(url))
        yield url


@asynccontextmanager
async def light_store() -> AsyncIterator[str]:
    """Run the store that only takes an executor's writes; yield its URL."""
    async with _store("bench.light_store") as url:
        yield url


@asynccontextmanager
async def _store(module: str, *options: str) -> AsyncIterator[str]:
    # DynamoDB is another machine's work: its stand-in gets what the measured leave over.
    command = ["nice", "-n", "10", sys.executable, "-m", module, *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    async with running(command, environment) as process:
        for _ in range(_START_TIMEOUT_S * 20):
            if match := _LISTENING.search(process.output()):
                yield match[1]
                return
            await asyncio.sleep(0.05)
        raise ProcessEndedError(f"{module} did not start: {process.output()}")
