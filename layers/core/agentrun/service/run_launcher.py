"""Begin runs and keep their executions going, whoever listens."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.events import RecordedEvent
from agentrun.domain.ports import AgentDirectory, AgentEngine
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Outcome
from agentrun.service.attach import replay_from_start
from agentrun.service.run_execution import RunExecution
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_recorder import RecordingPace
from agentrun.service.start_run import Idempotency, start_run

log = logging.getLogger(__name__)


class RunStream(Protocol):
    """A run and its events, live from its execution or read from its log."""

    @property
    def run(self) -> AgentRun:
        """The run as it was when the stream began."""
        ...

    def batches(self, *, idle_s: float) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Give the events as they come; an empty batch after `idle_s` of silence."""
        ...


class RunLauncher:
    """Starts runs and executes each in a task of its own, detached from the request."""

    def __init__(
        self,
        agents: AgentDirectory,
        engine: AgentEngine,
        ports: RunPorts,
        *,
        new_id: Callable[[], str],
        on_ended: Callable[[AgentRun, Outcome | None], None],
        prepare: Callable[[], None] = lambda: None,
        pace: RecordingPace | None = None,
    ) -> None:
        self._agents = agents
        self._engine = engine
        self._ports = ports
        self._new_id = new_id
        self._on_ended = on_ended
        self._prepare = prepare
        self._pace = pace
        self._executing: dict[asyncio.Task[None], RunExecution] = {}

    async def begin(
        self,
        principal: Principal,
        agent_id: str,
        request: RunRequest,
        *,
        idempotency: Idempotency | None = None,
        deadline: datetime | None,
    ) -> RunStream:
        """
        Make a run durable and begin to execute it, or follow the one that the key stands for.

        Args:
            principal: The verified caller.
            agent_id: The agent that is to run.
            request: The validated body.
            idempotency: The caller's key, and the body as it came.
            deadline: When the process will be stopped, if that is known.

        Returns:
            The execution, under way; a follower where the run had been started before.

        Raises:
            AgentrunError: The request was refused and nothing started; see `start_run`.
        """
        # The store's answer is waited for in any case: the engine can load meanwhile.
        self._prepare()
        started = await start_run(
            principal,
            agent_id,
            request,
            idempotency=idempotency,
            agents=self._agents,
            ports=self._ports,
            new_id=self._new_id,
        )
        if started.run is None or started.task is None:
            return await replay_from_start(started.key, self._ports)
        execution = RunExecution(
            started.run, started.task, engine=self._engine, ports=self._ports, pace=self._pace
        )
        executing = asyncio.create_task(self._execute(execution, deadline))
        self._executing[executing] = execution
        executing.add_done_callback(self._executing.pop)
        return execution

    async def _execute(self, execution: RunExecution, deadline: datetime | None) -> None:
        self._on_ended(execution.run, await execution.execute(deadline=deadline))

    async def stop(self) -> None:
        """End all runs under way as FAILED, and wait until their ends are durable."""
        under_way = dict(self._executing)
        if under_way:
            log.warning("the process ends and stops its runs", extra={"runs": len(under_way)})
        for execution in under_way.values():
            execution.stop()
        await asyncio.gather(*under_way)
