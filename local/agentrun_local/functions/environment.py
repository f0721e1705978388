"""One execution environment: a process, its Runtime API, and what it is working on."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from agentrun_local.errors import TemplateError
from agentrun_local.functions.invocation import TRUNCATED, FunctionError, Invocation
from agentrun_local.functions.processes import Child, ProcessSupervisor
from agentrun_local.functions.runtime_api import RuntimeApi
from agentrun_local.functions.runtime_process import runtime_command, runtime_environment
from agentrun_local.template.cloudformation import function_arn
from agentrun_local.template.resources import Function

# Lambda gives a runtime 10 s to get ready, and then another chance within the function's time.
_INIT_TIMEOUT_S = 60.0


class Host(Protocol):
    """What an environment needs from the one who keeps it."""

    def next_invocation(self, environment: "ExecutionEnvironment") -> Awaitable[Invocation]:
        """Wait for an invocation for this environment."""
        ...

    def freed(self, environment: "ExecutionEnvironment") -> None:
        """Take note that an invocation is over."""
        ...

    def ended(self, environment: "ExecutionEnvironment", init_error: FunctionError | None) -> None:
        """Take note that the process is gone, with the error if it never got ready."""
        ...


class ExecutionEnvironment:
    """
    A function's process from start to end; the source behind its Runtime API.

    It takes up to `function.concurrency` invocations at once. Retired, it takes no more and ends
    with the last one.
    """

    def __init__(
        self,
        function: Function,
        host: Host,
        *,
        supervisor: ProcessSupervisor,
        extra_environment: Mapping[str, str],
        log: Callable[[str], None],
    ) -> None:
        self.retired = False
        self.pid = 0
        self._function = function
        self._host = host
        self._supervisor = supervisor
        self._extra_environment = extra_environment
        self._log = log
        self._runtime_api = RuntimeApi(self)
        self._child: Child | None = None
        self._in_flight: dict[str, tuple[Invocation, asyncio.TimerHandle]] = {}
        self._ready = asyncio.Event()
        self._init_error: FunctionError | None = None
        self._stopped = False
        self._ended_by_us = False
        self._lost: list[Invocation] = []

    @property
    def function_arn(self) -> str:
        """The ARN that the runtime is told."""
        return function_arn(self._function.name)

    @property
    def busy(self) -> int:
        """How many invocations it is working on."""
        return len(self._in_flight)

    @property
    def free(self) -> int:
        """How many more invocations it would take."""
        return 0 if self.retired else self._function.concurrency - self.busy

    async def run(self) -> None:
        """Start the process and see it through to its end; `Host.ended` is called last."""
        await self._start()
        if self._child is not None:
            await self._watch(self._child)
        # One that was retired has failed nobody.
        init_error = None if self.retired else self._init_error
        self.retired = True
        self._runtime_api.close()
        self._ready.set()
        self._host.ended(self, init_error)

    async def ready(self) -> None:
        """
        Wait until the runtime asks for its first event.

        Raises:
            FunctionError: It failed before that.
        """
        await self._ready.wait()
        if self._init_error is not None:
            raise self._init_error

    def accept(self, invocation: Invocation) -> None:
        """Take charge of an invocation; the time that the function has for it starts now."""
        timeout_s = self._function.timeout_s
        invocation.deadline_ms = int((time.time() + timeout_s) * 1000)
        timer = asyncio.get_running_loop().call_later(timeout_s, self._time_out, invocation)
        self._in_flight[invocation.request_id] = (invocation, timer)

    def retire(self) -> None:
        """Take no more invocations, and end after those in flight."""
        self.retired = True
        if not self._in_flight:
            self._terminate()

    def stop(self) -> None:
        """End the process; what is in flight fails."""
        self.retired = self._stopped = True
        self._terminate()

    async def next_invocation(self) -> Invocation:
        """Wait for the next event (the Runtime API's side)."""
        self._ready.set()
        return await self._host.next_invocation(self)

    def in_flight(self, request_id: str) -> Invocation | None:
        """Find an invocation that was handed out and is not over."""
        entry = self._in_flight.get(request_id)
        return entry[0] if entry else None

    def finished(self, invocation: Invocation) -> None:
        """Take note that an invocation is over."""
        entry = self._in_flight.pop(invocation.request_id, None)
        if entry is None:
            return
        entry[1].cancel()
        if invocation.error is not None and invocation.error.error_type == TRUNCATED:
            self._lost.append(invocation)
        if self.retired:
            self.retire()
        self._host.freed(self)

    def init_failed(self, error: FunctionError) -> None:
        """Take note that the runtime cannot serve."""
        if not self._ready.is_set():
            self._init_error = error

    async def _start(self) -> None:
        address = await self._runtime_api.start()
        environment = runtime_environment(
            self._function, runtime_api=address, extra=self._extra_environment
        )
        try:
            self._child = await self._supervisor.spawn(
                runtime_command(self._function),
                cwd=self._function.code_dir,
                environment=environment,
                log=self._log,
            )
        except (OSError, TemplateError) as error:
            # What Lambda says when the entry point cannot be executed.
            self._init_error = FunctionError("Runtime.InvalidEntrypoint", str(error))
            self._log(str(error))
            return
        self.pid = self._child.pid
        if self.retired:
            self._terminate()

    async def _watch(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        overdue = loop.call_later(_INIT_TIMEOUT_S, self._init_overdue, child)
        status = await child.wait()
        overdue.cancel()
        self._tell_of_end(child.pid, status)
        how = f"signal: {-status}" if status < 0 else f"exit status {status}"
        if not self._ready.is_set() and self._init_error is None:
            self._init_error = FunctionError(
                "Runtime.ExitError", f"Error: Runtime exited with error: {how}"
            )
        for invocation, timer in list(self._in_flight.values()):
            timer.cancel()
            message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {how}"
            invocation.fail(FunctionError("Runtime.ExitError", message))
        self._in_flight.clear()

    def _init_overdue(self, child: Child) -> None:
        if not self._ready.is_set():
            self._init_error = FunctionError("Sandbox.Timedout", "Error: The init took too long.")
            self._ended_by_us = True
            child.kill()

    def _time_out(self, invocation: Invocation) -> None:
        # With several invocations in one process, the others are let finish before it is killed.
        self.retired = True
        message = (
            f"RequestId: {invocation.request_id} Error: Task timed out after "
            f"{self._function.timeout_s:.2f} seconds"
        )
        self._log(message)
        invocation.fail(FunctionError("Sandbox.Timedout", message))
        self._in_flight.pop(invocation.request_id, None)
        if not self._in_flight and self._child is not None:
            self._ended_by_us = True
            self._child.kill()
        self._host.freed(self)

    def _tell_of_end(self, pid: int, status: int) -> None:
        """Log how the process has ended, unless it was asked to or has said itself why."""
        lost = [*self._lost, *(invocation for invocation, _ in self._in_flight.values())]
        expected = self._ended_by_us or self._init_error is not None
        if not self._stopped and (lost or not expected):
            self._log(_obituary(pid, status, lost))

    def _terminate(self) -> None:
        if self._child is not None:
            self._ended_by_us = True
            self._child.terminate()


def _obituary(pid: int, status: int, lost: Sequence[Invocation]) -> str:
    """Say how a process has ended that was to live on, and what ends with it."""
    how = f"was killed by {_signal(-status)}" if status < 0 else f"ended with exit status {status}"
    served = [f"run {i.run_id}" if i.run_id else f"request {i.request_id}" for i in lost]
    return f"ERROR the process {pid} {how}, serving {', '.join(served) or 'no request'}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
