"""Child processes that never outlive the local stack."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agentrun_local.functions import reaper

_READ_BYTES = 64 * 1024
_GRACE_S = 2.0


class Child:
    """A running process, the leader of its own process group."""

    def __init__(self, process: asyncio.subprocess.Process, log: Callable[[str], None]) -> None:
        self.pid = process.pid
        self._process = process
        self._killing: asyncio.TimerHandle | None = None
        self._ended = asyncio.ensure_future(self._see_to_the_end(log))

    async def wait(self) -> int:
        """Wait until it has ended and its output is read; negative: the signal that ended it."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM; after 2 s it is killed."""
        if self._process.returncode is None and self._killing is None:
            # Not by asyncio: its `terminate` looks first whether the process has ended, and one
            # that just has then leaves 255 as its status (Python 3.11, `Popen.send_signal`).
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)
            self._killing = asyncio.get_running_loop().call_later(_GRACE_S, self.kill)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _see_to_the_end(self, log: Callable[[str], None]) -> int:
        following = asyncio.ensure_future(_follow(self._process, log))
        status = await self._process.wait()
        if self._killing is not None:
            self._killing.cancel()
        # What it has started ends with it, and would hold its output open.
        self.kill()
        await following
        return status


class ProcessSupervisor:
    """
    Starts processes; when it closes, or its own process dies in whatever way, they end.

    A second, tiny process sees to the latter: it holds the other end of a pipe, which the system
    closes with us. (Linux alone could do it without, by PR_SET_PDEATHSIG.)
    """

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.subprocess.Process | None = None

    @property
    def pids(self) -> list[int]:
        """All processes that are there now, the watching one included."""
        watching = [self._reaper.pid] if self._reaper is not None else []
        return [*watching, *self._children]

    async def __aenter__(self) -> Self:
        """Start watching."""
        self._reaper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(reaper.__file__))),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop every process that is left."""
        children = list(self._children.values())
        for child in children:
            child.terminate()
        await asyncio.gather(*(child.wait() for child in children))
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            await self._reaper.wait()

    async def spawn(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        log: Callable[[str], None],
    ) -> Child:
        """
        Start a process in a session of its own, so that a Ctrl-C in the terminal spares it.

        Nothing of our environment is inherited; `log` gets each line of its output, standard
        error included, without the line end.

        Raises:
            OSError: There is no such program or folder.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._tell(f"+{process.pid}\n")
        child = Child(process, log)
        self._remember(child)
        return child

    def _remember(self, child: Child) -> None:
        self._children[child.pid] = child
        watching = asyncio.ensure_future(self._forget_when_ended(child))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _forget_when_ended(self, child: Child) -> None:
        await child.wait()
        del self._children[child.pid]
        self._tell(f"-{child.pid}\n")

    def _tell(self, line: str) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.write(line.encode())


async def _follow(process: asyncio.subprocess.Process, log: Callable[[str], None]) -> None:
    if process.stdout is None:
        return
    rest = b""
    while chunk := await process.stdout.read(_READ_BYTES):
        # awslambdaric ends the lines of a stack trace with a carriage return.
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            log(line.decode("utf-8", "replace"))
    if rest:
        log(rest.decode("utf-8", "replace"))
