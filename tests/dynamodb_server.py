"""A DynamoDB that other processes can reach: moto's server, with the table in it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import free_port, running_server
from tests.tables import client_of, create_table


@contextmanager
def dynamodb_server(scratch: Path) -> Iterator[str]:
    """Serve an empty table on loopback; gives the URL."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running_server(
        command, port, environment={"PATH": os.environ["PATH"]}, cwd=scratch, log=scratch / "log"
    ):
        url = f"http://127.0.0.1:{port}"
        create_table(client_of(url))
        yield url
