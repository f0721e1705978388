"""The processes of a running local stack."""

import os
import signal
from pathlib import Path

from tests.e2e.conftest import LocalStack, wait_until


def stream_processes_of(stack: LocalStack) -> list[int]:
    """Return the processes in which a stack's stream function runs at this moment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"lambda_asgi" in command and descends_from(int(folder.name), stack.process.pid):
            found.append(int(folder.name))
    return found


def processes_of(stack: LocalStack, function: str) -> list[int]:
    """Return the processes of one of a stack's functions."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_wanted = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in environment
        if is_wanted and descends_from(int(folder.name), stack.process.pid):
            found.append(int(folder.name))
    return found


def descends_from(pid: int, ancestor: int) -> bool:
    """Tell whether a process was started by another, or by one that it has started."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


def kill_stream_processes(stack: LocalStack) -> None:
    """End them without a warning, and wait for one that takes their place."""
    for pid in stream_processes_of(stack):
        os.kill(pid, signal.SIGKILL)
    with stack.client("function_url") as client:
        # Until the stack has noticed its loss, a request may still be handed to the dead.
        nobody = "/api/agents/echo/runs/nobody/stream"
        wait_until(lambda: client.get(nobody).status_code == 404, "a new process answers")
