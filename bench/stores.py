"""Stand-ins for DynamoDB and Bedrock, each a process of its own."""

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
    """Run moto's server with the project's table in it; gives its URL."""
    async with _stand_in("moto.server", "-H", "127.0.0.1", "-p", "0") as url:
        await asyncio.to_thread(create_table, client_of(url))
        yield url


@asynccontextmanager
async def light_store() -> AsyncIterator[str]:
    """Run the store that only takes what an executor writes; gives its URL."""
    async with _stand_in("bench.inside.light_store") as url:
        yield url


@asynccontextmanager
async def bedrock_server() -> AsyncIterator[str]:
    """Run the stand-in for Bedrock that says as many tokens as it is asked for; gives its URL."""
    async with _stand_in("bench.inside.bedrock_server") as url:
        yield url


@asynccontextmanager
async def _stand_in(module: str, *options: str) -> AsyncIterator[str]:
    # It is another machine's work: its stand-in gets what the measured leave over.
    command = ["nice", "-n", "10", sys.executable, "-m", module, *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    async with running(command, environment) as process:
        for _ in range(_START_TIMEOUT_S * 20):
            if match := _LISTENING.search(process.output()):
                yield match[1]
                return
            await asyncio.sleep(0.05)
        raise ProcessEndedError(f"{module} did not start: {process.output()}")
