"""A server in a process of its own, for as long as a test needs it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 5


class ServerDiedError(Exception):
    """The server ended, or opened no port in time; carries what it printed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_server(
    command: Sequence[str | Path],
    port: int,
    *,
    environment: Mapping[str, str],
    cwd: Path,
    log: Path,
) -> Iterator[None]:
    """
    Start a server, wait until its port opens, and end it with all that it started.

    Args:
        command: The program and its arguments.
        port: The one that it will listen on, on loopback.
        environment: All of its environment; nothing is inherited.
        cwd: Its working directory.
        log: Gets its output.

    Raises:
        ServerDiedError: It did not come up.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_until_open(process, port, log)
            yield
        finally:
            _end_group(process)


def _wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            # A refused connection comes back at once.
            time.sleep(0.02)
        else:
            return
    raise ServerDiedError(f"{process.args!r}:\n{log.read_text(errors='replace')}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    # What it has started is in its session, and may not end with it.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
