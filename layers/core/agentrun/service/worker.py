"""Execute the runs that a queue asks executors for: one message, one run."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

from agentrun.domain.endings import LEASE_GRACE_S, can_go_on, lease_has_lapsed
from agentrun.domain.errors import FencedError, RunNotFoundError, StoreUnavailableError
from agentrun.domain.ports import HeldMessage
from agentrun.domain.runs import LEASE_DURATION, UNDER_WAY, AgentRun, Lease, RunKey, RunStatus
from agentrun.service.launcher import RunLauncher
from agentrun.service.ports import in_thread
from agentrun.service.reading.runs import followed_state
from agentrun.service.starting.session_queue import live_runs
from agentrun.service.starting.slots import slot_of
from agentrun.service.starting.start_run import LaunchPorts
from agentrun.service.starting.take_over import take_over

LAPSED_AFTER = LEASE_DURATION + timedelta(seconds=LEASE_GRACE_S + 3)
"""After that every clock finds a lease lapsed that is not renewed; they differ by 2 s at most."""
HOLD_AGAIN_AFTER_S = 3.0
HELD_FOR = LAPSED_AFTER + timedelta(seconds=HOLD_AGAIN_AFTER_S)
"""
How long a message stays out of sight without a sign of life from its worker.

The run's lease has lapsed by then, which may have been renewed after the message was held last, so
that the next worker who gets the message can go on.
"""
LONGEST_PAUSE = timedelta(minutes=15)
"""After how long at most a message comes again that could not be seen to."""
LOOK_AT_SESSION_AFTER = LAPSED_AFTER
"""When to look again at a session that is busy; who leaves it asks sooner."""
MAX_LOOKS = 5
"""How often to look at a run whose lease is renewed just then."""
WORKER, WAITING = "worker-", "waiting-"
"""What the names of executors begin with that are workers, and of those that only wait."""

log = logging.getLogger(__name__)


class RunWorker:
    """Takes over the runs that messages name, and executes each to its end or its hand-over."""

    def __init__(self, launcher: RunLauncher, ports: LaunchPorts) -> None:
        self._launcher = launcher
        self._ports = ports

    async def work(self, message: HeldMessage, *, deadline: datetime | None) -> bool:
        """
        See to a run.

        Args:
            message: The message that names the run, hidden from other workers meanwhile.
            deadline: When the process will be stopped, if that is known.

        Returns:
            Whether the message has done its work and can be deleted.
        """
        async with self._held(message):
            is_done = await self._done(message.key, deadline)
        if not is_done:
            # An outage must not use up all the times that a message is handed out.
            pause = min(HELD_FOR * 2 ** (message.received - 1), LONGEST_PAUSE)
            with suppress(StoreUnavailableError):
                await in_thread(self._ports.runs.threads, message.keep_for, pause)
        return is_done

    async def _done(self, key: RunKey, deadline: datetime | None) -> bool:
        runs = self._ports.runs
        try:
            run = await in_thread(runs.threads, followed_state, key, runs)
            return await self._see_to(run, deadline)
        except (RunNotFoundError, FencedError):
            return True
        except StoreUnavailableError as error:
            log.warning("message comes again: %s", error, extra={"runId": key.run_id})
            return False

    async def _see_to(self, run: AgentRun, deadline: datetime | None) -> bool:
        lease, now = run.lease, self._ports.runs.clock.now()
        if run.status not in UNDER_WAY or lease is None:
            if run.status.is_terminal:
                # It may have ended without an executor, which would have given the slot back.
                await self._ports.slots.give_back(slot_of(run), tokens=0)
            return True
        is_alone = lease_has_lapsed(run, now) and can_go_on(run)
        is_waiting = lease.executor.startswith(WAITING)
        if run.status is RunStatus.QUEUED and (is_alone or is_waiting):
            return await self._begin(run, is_alone=is_alone, deadline=deadline)
        if is_alone:
            return await self._take_over(run, deadline)
        if run.is_background:
            await self._watch(run)
        return True

    async def _watch(self, run: AgentRun) -> None:
        """
        Have somebody look again once the lease would be over; one message at a time goes round.

        Whether its executor lives or has just died cannot be told, nor whether it has a message of
        its own: this one may be it.
        """
        runs = self._ports.runs
        for _ in range(MAX_LOOKS):
            at = runs.clock.now()
            if await in_thread(runs.threads, runs.journal.may_ask, run, at=at):
                await self._ask_again(run, after=LAPSED_AFTER)
                return
            now = await in_thread(runs.threads, runs.store.get_state, run.key)
            if now.status not in UNDER_WAY or (now.status, now.lease) == (run.status, run.lease):
                # It is over, or somebody else has asked a moment ago.
                return
            run = now

    async def _begin(self, run: AgentRun, *, is_alone: bool, deadline: datetime | None) -> bool:
        """Begin a run that is QUEUED, or have it wait for its session without a worker."""
        if not await self._has_to_wait(run):
            return await self._take_over(run, deadline)
        if is_alone:
            # The lease tells other messages, and readers, that this one goes round.
            runs, at = self._ports.runs, self._ports.runs.clock.now()
            until = Lease(executor=f"{WAITING}{self._ports.new_id()}", until=at + LEASE_DURATION)
            await in_thread(runs.threads, runs.journal.take_over, run, until, at=at)
            await self._ask_again(run, after=LOOK_AT_SESSION_AFTER)
        return True

    async def _has_to_wait(self, run: AgentRun) -> bool:
        runs, lock = self._ports.runs, self._ports.conversations.lock
        seen = await in_thread(runs.threads, lock, run.org_id, run.session_id)
        return bool(await live_runs(run.org_id, seen.before(run.id), runs, at_most=1))

    async def _take_over(self, run: AgentRun, deadline: datetime | None) -> bool:
        executor = f"{WORKER}{self._ports.new_id()}"
        pending = await take_over(run, ports=self._ports, executor=executor)
        return await self._launcher.execute(pending, deadline=deadline)

    async def _ask_again(self, run: AgentRun, *, after: timedelta) -> None:
        runs = self._ports.runs
        send = partial(runs.queue.send, run.key, delay=after)
        await in_thread(runs.threads, send)

    @asynccontextmanager
    async def _held(self, message: HeldMessage) -> AsyncGenerator[None, None]:
        """
        Keep a message from other workers for as long as this one lives.

        Until it is kept for the first time it would stay away, if this worker died, for as long as
        a worker may take. So nothing begins before that.
        """
        await self._keep(message)
        holding = asyncio.create_task(self._hold(message))
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.wait({holding})

    async def _hold(self, message: HeldMessage) -> None:
        while True:
            await asyncio.sleep(HOLD_AGAIN_AFTER_S)
            await self._keep(message)

    async def _keep(self, message: HeldMessage) -> None:
        with suppress(StoreUnavailableError):
            await in_thread(self._ports.runs.threads, message.keep_for, HELD_FOR)
