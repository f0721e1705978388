"""A peer's server as processes of this machine: started, killed, started again, and weighed."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Launch:
    """How a server is started; the environment is all that it sees."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]


@dataclass
class Server:
    """
    A server and the processes that it has started.

    `folder` is its own, and keeps what it stores from one start to the next.
    """

    folder: Path
    port: int
    launch: Launch
    started: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, in a session of its own; do not wait until it serves."""
        with (self.folder / "server.log").open("ab") as log:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                [str(word) for word in self.launch.command],
                cwd=self.folder,
                env=dict(self.launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill it and all of its processes at once, as a lost machine would."""
        if self._process is not None:
            for pid in self.pids():
                _kill(pid)
            self._process.wait()
            self._process = None

    def end(self, pids: Sequence[int]) -> None:
        """Kill some of its processes only."""
        for pid in set(pids) & set(self.pids()):
            _kill(pid)

    def pids(self) -> list[int]:
        """Return its processes, the first one first."""
        if self._process is None:
            return []
        found = [self._process.pid]
        for pid in found:
            found += _children(pid)
        return found

    def cpu_s(self, pids: Sequence[int] | None = None) -> float:
        """Return the processor time that its processes, or some of them, have used."""
        return sum(_cpu_s(pid) for pid in (self.pids() if pids is None else pids))

    def rss_mb(self, pids: Sequence[int]) -> float:
        """Return the resident memory of some of its processes."""
        return sum(_rss_mb(pid) for pid in pids)


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def plain_environment(**variables: str) -> dict[str, str]:
    """Return an environment without this one's settings, keys and proxies."""
    path = os.pathsep.join([str(Path(shutil.which("sh") or "/bin/sh").parent), os.defpath])
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": os.devnull, **variables}


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path("/proc", str(pid), "task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def _cpu_s(pid: int) -> float:
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return 0.0
    # The name before them may hold spaces (source: proc_pid_stat(5), utime and stime).
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _rss_mb(pid: int) -> float:
    try:
        return int(Path("/proc", str(pid), "statm").read_text().split()[1]) * _PAGE / 1024**2
    except OSError:
        return 0.0
