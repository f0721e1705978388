"""All execution environments of one function: who gets the next event, when to start or end one."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentrun_local.functions.environment import ExecutionEnvironment
from agentrun_local.functions.invocation import FunctionError, Invocation
from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.template.resources import Function

MAX_ENVIRONMENTS = 10
"""Processes of one function at most; when all are busy, events wait (Lambda would throttle)."""
IDLE_S = 60.0
"""How long a process beyond the first may idle before it ends."""


@dataclass(frozen=True)
class PoolLimits:
    """How far a function scales out, and how fast it scales in."""

    max_environments: int = MAX_ENVIRONMENTS
    idle_s: float = IDLE_S


class FunctionPool:
    """
    Invokes one function, as Lambda does.

    An event goes to a free environment; when all are busy one more is started, and whichever is
    free first takes it.
    """

    def __init__(
        self,
        function: Function,
        *,
        supervisor: ProcessSupervisor,
        extra_environment: Mapping[str, str],
        log: Callable[[str], None],
        limits: PoolLimits | None = None,
    ) -> None:
        self.function = function
        self._supervisor = supervisor
        self._extra_environment = extra_environment
        self._log = log
        self._limits = limits or PoolLimits()
        self._environments: dict[ExecutionEnvironment, asyncio.Task[None]] = {}
        self._pending: deque[Invocation] = deque()
        self._pollers: list[tuple[ExecutionEnvironment, asyncio.Future[Invocation]]] = []
        self._stopped = False
        self._idle_timers: dict[ExecutionEnvironment, asyncio.TimerHandle] = {}

    @property
    def pids(self) -> list[int]:
        """The processes of this function."""
        return [environment.pid for environment in self._environments]

    async def start(self) -> None:
        """
        Start one environment and wait until it is ready.

        Raises:
            FunctionError: The function's module cannot be loaded.
        """
        await self._launch().ready()

    async def replace(self) -> None:
        """
        Change to new processes: those in use finish what they do, the next events go to a new one.

        Raises:
            FunctionError: The new code cannot be loaded; the next event tries again.
        """
        for environment in list(self._environments):
            environment.retire()
        await self.start()

    async def stop(self) -> None:
        """End all processes; what is in flight fails."""
        self._stopped = True
        running = list(self._environments.values())
        for environment in self._environments:
            environment.stop()
        await asyncio.gather(*running)
        while self._pending:
            self._pending.popleft().fail(FunctionError("Sandbox.Stopped", "The stack has ended."))

    def invoke(self, event: bytes, *, trace_id: str | None = None) -> Invocation:
        """Hand in an event; the invocation tells what becomes of it."""
        invocation = Invocation(event, trace_id=trace_id)
        self._pending.append(invocation)
        self._dispatch()
        self._scale_out()
        return invocation

    async def next_invocation(self, environment: ExecutionEnvironment) -> Invocation:
        """Wait for an invocation for this environment."""
        future: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        self._pollers.append((environment, future))
        self._dispatch()
        return await future

    def freed(self, environment: ExecutionEnvironment) -> None:
        """Take note that an invocation of this environment is over."""
        if environment.busy == 0 and not environment.retired:
            timer = asyncio.get_running_loop().call_later(
                self._limits.idle_s, self._retire_surplus, environment
            )
            self._idle_timers[environment] = timer
        self._dispatch()
        self._scale_out()

    def ended(self, environment: ExecutionEnvironment, init_error: FunctionError | None) -> None:
        """Take note that this environment's process is gone."""
        self._environments.pop(environment, None)
        self._cancel_idle_timer(environment)
        if init_error is not None:
            # Lambda answers the caller for whom it started the environment with the init's error.
            for _ in range(min(len(self._pending), self.function.concurrency)):
                self._pending.popleft().fail(init_error)
        self._scale_out()

    def _dispatch(self) -> None:
        self._pollers = [(e, f) for e, f in self._pollers if not f.done()]
        free = [poller for poller in self._pollers if poller[0].free > 0]
        while self._pending and free:
            # The fullest first, and of those the one used last: the others may then idle out.
            chosen = max(range(len(free)), key=lambda i: (free[i][0].busy, i))
            environment, future = free[chosen]
            invocation = self._pending.popleft()
            self._cancel_idle_timer(environment)
            environment.accept(invocation)
            future.set_result(invocation)
            free = [(e, f) for e, f in free if not f.done() and e.free > 0]

    def _scale_out(self) -> None:
        live = [environment for environment in self._environments if not environment.retired]
        wanted = len(self._pending) - sum(environment.free for environment in live)
        if wanted > 0 and not self._stopped and len(live) < self._limits.max_environments:
            self._launch()

    def _launch(self) -> ExecutionEnvironment:
        environment = ExecutionEnvironment(
            self.function,
            self,
            supervisor=self._supervisor,
            extra_environment=self._extra_environment,
            log=self._log,
        )
        self._environments[environment] = asyncio.ensure_future(environment.run())
        return environment

    def _retire_surplus(self, environment: ExecutionEnvironment) -> None:
        live = [e for e in self._environments if not e.retired]
        if len(live) > 1 and environment.busy == 0:
            environment.retire()

    def _cancel_idle_timer(self, environment: ExecutionEnvironment) -> None:
        timer = self._idle_timers.pop(environment, None)
        if timer is not None:
            timer.cancel()
