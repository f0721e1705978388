"""The processes that are measured, each ended with its measurement."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
_GRACE_S = 15


class ProcessEndedError(Exception):
    """A process ended, or stayed silent, where it should have served; the text is its output."""


@dataclass(frozen=True)
class Process:
    """A running process; `started_ns` is the monotonic time just before its start."""

    pid: int
    started_ns: int
    log: IO[bytes]

    def output(self) -> str:
        """Return what it has printed so far, standard error included."""
        return Path(self.log.name).read_text("utf-8", "replace")

    def cpu_s(self) -> float:
        """Tell how much processor time it has used, all of its threads together."""
        stat = Path("/proc", str(self.pid), "stat")
        if not stat.exists():
            # macOS; there it has hundredths of a second.
            ps = ["ps", "-o", "time=", "-p", str(self.pid)]
            asked = subprocess.check_output(ps, text=True)
            minutes, seconds = asked.split(":")
            return 60 * int(minutes) + float(seconds)
        # The name before them may hold spaces (source: proc_pid_stat(5), utime and stime).
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    async def rss_mb(self) -> float:
        """Ask the system for its resident memory."""
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
    gently: bool = False,
) -> AsyncIterator[Process]:
    """
    Run a command with this environment only, its output going to a file, then kill it.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        cwd: Where it runs.
        pass_fds: Files that it inherits.
        gently: Whether it may end by itself first, having children of its own.
    """
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
            if gently and process.returncode is None:
                process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _GRACE_S)
            if process.returncode is None:
                process.kill()
            await process.wait()
