"""A DynamoDB for the stack: moto's server as a process, and the template's tables in it."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agentrun_local.errors import LocalStackError
from agentrun_local.functions.processes import Child, ProcessSupervisor
from agentrun_local.template.cloudformation import REGION
from agentrun_local.template.resources import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_LISTENING = re.compile(r"Running on (http://\S+)")
_START_TIMEOUT_S = 60


async def start_moto_server(
    supervisor: ProcessSupervisor, log: Callable[[str], None], *, state: Path | None = None
) -> str:
    """
    Start moto's server on a free port, in a process of its own, and return its URL.

    Args:
        supervisor: Ends it.
        log: Is told what it prints.
        state: A file that outlives it and has what it holds; without one, it forgets everything.

    Raises:
        LocalStackError: It ended, or did not start within a minute.
    """
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    output: list[str] = []

    def follow(line: str) -> None:
        if listening.done():
            log(line)
        elif match := _LISTENING.search(line):
            listening.set_result(match[1])
        else:
            output.append(line)

    child = await supervisor.spawn(
        [
            *(sys.executable, "-m", "agentrun_local.machine.moto_process"),
            *([] if state is None else [str(state)]),
        ],
        cwd=Path.cwd(),
        environment={"PATH": str(Path(sys.executable).parent), "PYTHONUNBUFFERED": "1"},
        log=follow,
    )
    await _first_of(listening, child)
    if not listening.done():
        raise LocalStackError("moto's server did not start: " + " ".join(output))
    return listening.result()


async def _first_of(listening: asyncio.Future[str], child: Child) -> None:
    ended = asyncio.ensure_future(child.wait())
    await asyncio.wait(
        (listening, ended), return_when=asyncio.FIRST_COMPLETED, timeout=_START_TIMEOUT_S
    )
    ended.cancel()


def create_tables(url: str, tables: Iterable[Table], *, region: str = REGION) -> None:
    """
    Create the tables that do not exist yet.

    Raises:
        LocalStackError: No DynamoDB answers at the URL.
    """
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - what a stand-in takes for one
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
    )
    try:
        for table in tables:
            _create(client, table)
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(f"No DynamoDB answers at {url}: {error}") from error
    finally:
        client.close()


def _create(client: "DynamoDBClient", table: Table) -> None:
    try:
        client.create_table(TableName=table.name, **cast("Any", table.definition))
    except client.exceptions.ResourceInUseException:
        return
    client.get_waiter("table_exists").wait(
        TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    if table.ttl_attribute:
        client.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl_attribute},
        )
