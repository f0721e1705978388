"""Begin and continue runs, and execute them apart from the requests that asked for them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from agentrun.domain.approvals import ContinueRequest
from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.endings import LEASE_GRACE_S, Outcome
from agentrun.domain.errors import FencedError, StoreUnavailableError
from agentrun.domain.ports import AgentEngine
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import LEASE_DURATION, AgentRun, RunStatus
from agentrun.service.executing.ending import earlier_events_kept
from agentrun.service.executing.execution import RunExecution
from agentrun.service.executing.recorder import RecordingPace
from agentrun.service.ports import every, in_thread, keep_invocation_for, retried
from agentrun.service.reading.follow import RunFollower, follower_of, whole_run
from agentrun.service.reading.result import RunStream
from agentrun.service.reading.runs import followed_state, recovered
from agentrun.service.starting.continue_run import continue_run
from agentrun.service.starting.reconnect import SentAgain, run_sent_before
from agentrun.service.starting.start_run import (
    Idempotency,
    LaunchPorts,
    PendingExecution,
    Reader,
    StartedRun,
    enqueue,
    enqueue_again,
    start_run,
)
from agentrun.service.starting.take_over import take_over

log = logging.getLogger(__name__)

TAKE_OVER_UNTIL = timedelta(seconds=10)
"""How much of its time a process has to have left to take a run over for a reader."""


async def _nothing_to_load() -> None:
    return


@dataclass(frozen=True)
class LauncherSettings:
    """Settings for all runs of a process; `engine_ready` waits until the engine is loaded."""

    on_ended: Callable[[AgentRun, Outcome | None], None]
    prepare: Callable[[], None] = lambda: None
    engine_ready: Callable[[], Awaitable[None]] = _nothing_to_load
    pace: RecordingPace = field(default_factory=RecordingPace)


class RunLauncher:
    """Starts and continues runs, and executes each of them in a task of its own."""

    def __init__(
        self,
        engine: AgentEngine,
        ports: LaunchPorts,
        settings: LauncherSettings,
    ) -> None:
        self._engine = engine
        self._ports = ports
        self._settings = settings
        self._executing: dict[asyncio.Task[None], RunExecution] = {}
        self._restoring: set[asyncio.Task[None]] = set()

    async def begin(
        self,
        principal: Principal,
        agent_id: str,
        request: RunRequest,
        *,
        idempotency: Idempotency | None = None,
        policy: SessionPolicy = SessionPolicy.REJECT,
        reader: Reader | None = None,
        deadline: datetime | None,
    ) -> RunStream:
        """
        Make a run durable and begin to execute it, or follow the run that the key stands for.

        A reader that sends its request again follows the run that the request has started.

        Args:
            principal, agent_id, request, idempotency, policy: See `start_run`.
            reader: Who reads the run's stream, and how far it has read already.
            deadline: When the process will be stopped, if that is known.

        Returns:
            The execution, under way; or a follower, if the run had been started before.

        Raises:
            AgentrunError: The request was refused and nothing started; see `start_run`.
        """
        fingerprint = reader.fingerprint(agent_id) if reader and idempotency is None else None
        cursor = (reader and reader.cursor) or 0
        if fingerprint and cursor:
            sent = SentAgain(agent_id, request, fingerprint, cursor)
            found = await run_sent_before(principal, sent, self._ports)
            if found is not None:
                runs = self._ports.runs
                follower = await follower_of(found, runs, is_replay=True, cursor=cursor)
                return await self.admit(follower, deadline=deadline)
        # The engine can load while the start waits for the store.
        self._settings.prepare()
        started = await start_run(
            principal,
            agent_id,
            request,
            idempotency=idempotency,
            policy=policy,
            fingerprint=fingerprint,
            ports=self._ports,
        )
        if started.pending is None:
            runs = self._ports.runs
            follower = await whole_run(started.key, runs, is_replay=True, cursor=cursor)
            return await self.admit(follower, deadline=deadline)
        return self._launch(self._execution(started.pending), deadline)

    async def enqueue(
        self,
        principal: Principal,
        agent_id: str,
        request: RunRequest,
        *,
        idempotency: Idempotency | None = None,
        policy: SessionPolicy = SessionPolicy.REJECT,
    ) -> StartedRun:
        """
        Make a run durable and have a worker execute it, or find the one that the key stands for.

        Args:
            principal, agent_id, request, idempotency, policy: See `start_run`.

        Returns:
            The run; `pending` is None if it had been started before.

        Raises:
            AgentrunError: The request was refused and nothing started; see `start_run`.
            StoreUnavailableError: Nobody could be asked to execute the run; retrying is safe. With
                a key it is asked for then, without one it is cancelled.
        """
        ports = self._ports
        started = await start_run(
            principal,
            agent_id,
            request,
            idempotency=idempotency,
            policy=policy,
            is_background=True,
            ports=ports,
        )
        if started.pending is not None:
            await enqueue(started.pending, ports, has_key=idempotency is not None)
        else:
            await enqueue_again(started.key, ports.runs)
        return started

    async def execute(self, pending: PendingExecution, *, deadline: datetime | None) -> bool:
        """
        Execute a run that was taken over, with nobody reading its events.

        Returns:
            Whether the run is seen to: it has ended, is paused, or was handed over.
        """
        execution = self._execution(pending)
        execution.detach()
        self._launch(execution, deadline)
        await self.ended(execution)
        return execution.is_seen_to

    async def admit(self, follower: RunFollower, *, deadline: datetime | None) -> RunFollower:
        """
        Take a place for a reader of a run that is under way; see `ReaderPlaces.admit`.

        If the run loses its executor meanwhile, this process takes it over.
        """
        follower.when_lost(partial(self._take_over, deadline=deadline))
        return await self._ports.readers.admit(follower, deadline=deadline)

    async def resume(
        self,
        principal: Principal,
        paused: AgentRun,
        request: ContinueRequest,
        *,
        deadline: datetime | None,
    ) -> RunExecution:
        """
        Continue a paused run.

        Returns:
            The execution, under way. Its first event is durable.

        Raises:
            AgentrunError: The request was refused, or the continuation could not begin, and the
                run is PAUSED as it was; see `continue_run`.
        """
        # Before the run is taken: if the engine cannot be loaded, no decision is lost.
        await self._settings.engine_ready()
        pending = await continue_run(principal, paused, request, ports=self._ports)
        try:
            await self._ask_for_another(pending.run)
            execution = self._execution(pending)
            await execution.begin_again()
        except (Exception, asyncio.CancelledError):
            await self._give_up(pending)
            raise
        return self._launch(execution, deadline)

    async def _ask_for_another(self, run: AgentRun) -> None:
        """Have a worker look for a run that nobody may be following, should this process die."""
        if run.is_background:
            lapses_in = LEASE_DURATION + timedelta(seconds=LEASE_GRACE_S)
            send = partial(self._ports.runs.queue.send, run.key, delay=lapses_in)
            await in_thread(self._ports.runs.threads, send)

    async def _take_over(self, lost: AgentRun, *, deadline: datetime | None) -> AgentRun:
        """Take over a run for its reader, or ask a worker to where that is better."""
        runs, now = self._ports.runs, self._ports.runs.clock.now()
        is_too_late = deadline is not None and deadline - now < TAKE_OVER_UNTIL
        if is_too_late or (lost.is_background and lost.status is RunStatus.QUEUED):
            return await in_thread(runs.threads, recovered, lost, runs)
        try:
            pending = await take_over(lost, ports=self._ports)
        except FencedError:
            return await in_thread(runs.threads, followed_state, lost.key, runs)
        execution = self._execution(pending)
        execution.detach()
        self._launch(execution, deadline)
        return pending.run

    def _execution(self, pending: PendingExecution) -> RunExecution:
        return RunExecution(pending, engine=self._engine, pace=self._settings.pace)

    def _launch(self, execution: RunExecution, deadline: datetime | None) -> RunExecution:
        executing = asyncio.create_task(self._execute(execution, deadline))
        self._executing[executing] = execution
        executing.add_done_callback(self._executing.pop)
        keep_invocation_for(executing)
        return execution

    async def _execute(self, execution: RunExecution, deadline: datetime | None) -> None:
        run, ports = execution.run, self._ports.runs
        async with earlier_events_kept(run, ports, deadline=deadline):
            outcome = await execution.execute(deadline=deadline)
        if not execution.was_handed_over:
            self._settings.on_ended(run, outcome)

    async def _give_up(self, pending: PendingExecution) -> None:
        """Put the pause back, now or soon; if neither works, the lapsed lease does it later."""
        try:
            with suppress(FencedError):
                await self._restore_pause(pending)
        except StoreUnavailableError:
            restoring = asyncio.create_task(self._restore_pause_later(pending))
            self._restoring.add(restoring)
            restoring.add_done_callback(self._restoring.discard)
            keep_invocation_for(restoring)
        await self._ports.slots.give_back(pending.slot, tokens=0)

    async def _restore_pause(self, pending: PendingExecution) -> None:
        store, threads = self._ports.runs.store, self._ports.runs.threads
        run, at = pending.run, self._ports.runs.clock.now()
        # The run as it was taken: its last event is the pause's.
        await in_thread(
            threads,
            store.restore_pause,
            run.key,
            pending.lease.executor,
            at=at,
            paused_id=run.last_event_id,
        )
        await in_thread(threads, store.release, run)

    async def _restore_pause_later(self, pending: PendingExecution) -> None:
        pause_s = self._settings.pace.retry_pause_s
        await asyncio.sleep(pause_s)
        pauses = every(pause_s, for_s=LEASE_DURATION.total_seconds())
        with suppress(FencedError, StoreUnavailableError):
            await retried(lambda: self._restore_pause(pending), pauses)

    async def ended(self, execution: RunExecution) -> None:
        """Wait until an execution is over; a caller that stops waiting does not stop it."""
        tasks = [task for task, executed in self._executing.items() if executed is execution]
        if tasks:
            await asyncio.wait(tasks)

    async def stop(self) -> None:
        """End all runs under way as FAILED, and wait until their ends are durable."""
        under_way = dict(self._executing)
        if under_way:
            log.warning("the process ends and stops its runs", extra={"runs": len(under_way)})
        for execution in under_way.values():
            execution.stop()
        await asyncio.gather(*under_way)
