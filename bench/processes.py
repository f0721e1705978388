"""The processes to measure, each ended with its measurement."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent


class ProcessEndedError(Exception):
    """A process ended, or stayed silent, instead of serving; the text is its output."""


@dataclass(frozen=True)
class Process:
    """A running process; `started_ns` is the monotonic time just before its start."""

    pid: int
    started_ns: int
    log: IO[bytes]

    def output(self) -> str:
        """Return what it has printed so far, standard error included."""
        return Path(self.log.name).read_text("utf-8", "replace")

    async def rss_mb(self) -> float:
        """Return its resident memory."""
        ps = ["ps", "-o", "rss=", "-p", str(self.pid)]
        answer = await asyncio.to_thread(subprocess.check_output, ps)
        return int(answer) / 1024


@asynccontextmanager
async def running(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    cwd: Path = ROOT,
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[Process]:
    """Run a command with only this environment and its output in a file; kill it afterwards."""
    with tempfile.NamedTemporaryFile(prefix="agentrun-bench-") as log:
        started_ns = time.monotonic_ns()
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),
            pass_fds=pass_fds,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield Process(process.pid, started_ns, log)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
