"""A DynamoDB that other processes can reach: moto's, made atomic, with the table in it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import ServerDiedError
from tests.tables import client_of, create_table

_LISTENING = re.compile(r"Running on (http://\S+)")


@contextmanager
def dynamodb_server(scratch: Path) -> Iterator[str]:
    """Serve an empty table on loopback; gives the URL."""
    log = scratch / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "agentrun_local.machine.moto_process"],
            env={"PATH": os.environ["PATH"]},
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = _LISTENING.search(process.stdout.readline())
            if said is None:
                raise ServerDiedError(log.read_text(errors="replace"))
            create_table(client_of(said[1]))
            yield said[1]
        finally:
            process.terminate()
