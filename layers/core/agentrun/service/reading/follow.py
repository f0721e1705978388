"""Attach to a run: replay its events after a cursor, then follow it to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from datetime import timedelta

from agentrun.domain.endings import can_go_on, lease_has_lapsed
from agentrun.domain.errors import RunNotFoundError, StoreUnavailableError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.replay import (
    end_event,
    is_broken,
    said_of_ended,
    start_event,
    without_lost,
    without_unconfirmed_end,
)
from agentrun.service.reading.runs import followed_state, recovered, visible_to_follow

EVENTS_KEPT = timedelta(hours=24)
SHORTEST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 1.0
STATE_AGE_S = 2.0
"""How old the state may get while events keep coming; only the state shows a lapsed lease."""

log = logging.getLogger(__name__)

TakeOver = Callable[[AgentRun], Awaitable[AgentRun]]
"""Takes over a run that has lost its executor; returns the run as it is then."""


class RunFollower:
    """A reader of one run's log; any number of readers may follow a run."""

    def __init__(
        self, run: AgentRun, cursor: int, ports: RunPorts, *, is_replay: bool = False
    ) -> None:
        self.run = run
        self.is_replay = is_replay
        self._cursor = cursor
        self._ports = ports
        self._first: Sequence[RecordedEvent] | None = None
        self._leave: Callable[[], Awaitable[None]] | None = None
        self._within: AbstractAsyncContextManager[None] | None = None
        self._take_over: TakeOver | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the run goes on, as far as is known, so that following it may take long."""
        return not self._has_ended()

    def when_lost(self, take_over: TakeOver) -> None:
        """Call `take_over` whenever the run is seen to have lost its executor."""
        self._take_over = take_over

    def when_left(self, leave: Callable[[], Awaitable[None]]) -> None:
        """Call `leave` once, when the events have been read to the end or the reader gives up."""
        self._leave = leave

    def read_within(self, context: AbstractAsyncContextManager[None]) -> None:
        """Enter `context` when the reading begins, and leave it when it ends, however it ends."""
        self._within = context

    @property
    def has_nothing_left(self) -> bool:
        """Whether the run has ended or is paused, and nothing comes after the cursor."""
        return self._has_ended() and self._cursor >= self.run.last_event_id

    async def look(self) -> None:
        """
        Read the first events ahead of `batches`.

        If the store is not available nothing is read, and `batches` tries again.

        Raises:
            RunNotFoundError: Events are missing.
        """
        # START comes from the run's state.
        self._first = await self._read(after=max(1, self._cursor))

    async def batches(self, *, idle_s: float) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """
        Yield the events after the cursor in order, as they appear; an empty list after silence.

        Ends after the run's last event, or before one that is missing. Tries again while the store
        is not available.
        """
        try:
            async with AsyncExitStack() as around:
                if self._within is not None:
                    await around.enter_async_context(self._within)
                followed = self._followed(idle_s=idle_s)
                async for batch in await around.enter_async_context(aclosing(followed)):
                    yield batch
        except RunNotFoundError:
            # No terminal event: a reader that attaches again learns that the run is not found.
            log.warning("replay broken off: events are gone", extra={"runId": self.run.id})
        finally:
            leave, self._leave = self._leave, None
            if leave is not None:
                await leave()

    async def _followed(self, *, idle_s: float) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        loop = asyncio.get_running_loop()
        pause_s, spoke_at, state_at = SHORTEST_PAUSE_S, loop.time(), loop.time()
        if self._cursor == 0:
            self._cursor = 1
            yield [start_event(self.run)]
        while True:
            found = await self._next()
            if found:
                self._cursor = found[-1].id
                pause_s, spoke_at = SHORTEST_PAUSE_S, loop.time()
                yield found
            if found is not None and self._has_ended():
                if found:
                    continue
                if (end := end_event(self.run, after=self._cursor)) is not None:
                    yield [end]
                return
            if not found or loop.time() - state_at > STATE_AGE_S:
                await self._refresh()
                state_at = loop.time()
                if found is not None and self._has_ended():
                    continue
            if loop.time() - spoke_at >= idle_s:
                spoke_at = loop.time()
                yield []
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)

    def _has_ended(self) -> bool:
        return self.run.status.is_terminal or self.run.status is RunStatus.PAUSED

    async def _next(self) -> Sequence[RecordedEvent] | None:
        first, self._first = self._first, None
        return await self._read(after=self._cursor) if first is None else first

    async def _read(self, *, after: int) -> Sequence[RecordedEvent] | None:
        """
        Return the events that may be shown by now; None if that is not known.

        Raises:
            RunNotFoundError: Events are missing.
        """
        read, at = self._ports.log.read, self._ports.clock.now()
        try:
            stored = await in_thread(self._ports.threads, read, self.run.key, after=after, at=at)
            if is_broken(self.run, stored, after=after):
                await self._check_left_out()
        except StoreUnavailableError:
            return None
        if self._has_ended():
            return said_of_ended(self.run, stored)
        if lease_has_lapsed(self.run, self._ports.clock.now()):
            # Somebody may have settled the run before its executor wrote what was read here.
            return None
        return without_unconfirmed_end(self.run, without_lost(self.run, stored))

    async def _check_left_out(self) -> None:
        """
        Check that the missing events were never stored.

        Raises:
            RunNotFoundError: They are gone, or the run is.
            StoreUnavailableError: Retrying is safe.
        """
        if self.run.error_type != "INTERNAL_ERROR":
            raise RunNotFoundError(self.run.id)
        # Its executor may have left out what cannot be written, unless the run was deleted.
        await in_thread(self._ports.threads, self._ports.store.get_state, self.run.key)

    async def _refresh(self) -> None:
        ports = self._ports
        try:
            run = await in_thread(ports.threads, followed_state, self.run.key, ports)
            if can_go_on(run) and lease_has_lapsed(run, ports.clock.now()):
                run = await self._recovered(run)
        except StoreUnavailableError:
            return
        self.run = run

    async def _recovered(self, run: AgentRun) -> AgentRun:
        """Take over a run that has lost its executor, or ask for another one."""
        if self._take_over is None:
            return await in_thread(self._ports.threads, recovered, run, self._ports)
        return await self._take_over(run)


async def attach(
    principal: Principal, agent_id: str, run_id: str, *, cursor: int, ports: RunPorts
) -> RunFollower | None:
    """
    Begin to follow a run after the event with the id `cursor`; 0 means from the start.

    Returns:
        A follower; None if the run has ended and nothing comes after the cursor.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, the caller may not see it, it ended more than a day ago,
            or some of its events are gone.
        StoreUnavailableError: Retrying is safe.
    """
    run = await in_thread(ports.threads, visible_to_follow, principal, agent_id, run_id, ports)
    follower = RunFollower(run, cursor, ports)
    if follower.has_nothing_left:
        return None
    if run.completed_at and ports.clock.now() - run.completed_at > EVENTS_KEPT:
        raise RunNotFoundError(run_id)
    await follower.look()
    return follower


async def whole_run(
    key: RunKey, ports: RunPorts, *, is_replay: bool, cursor: int = 0
) -> RunFollower:
    """
    Follow a run from its first event, or after a cursor, for the caller who has started it.

    `is_replay` says that an earlier request of the caller, the same one, has started it.

    Raises:
        RunNotFoundError: The run is gone, or its events are.
        StoreUnavailableError: Retrying is safe.
    """
    run = await in_thread(ports.threads, followed_state, key, ports)
    return await follower_of(run, ports, is_replay=is_replay, cursor=cursor)


async def follower_of(
    run: AgentRun, ports: RunPorts, *, is_replay: bool, cursor: int
) -> RunFollower:
    """Follow a run whose state is known; otherwise like `whole_run`."""
    follower = RunFollower(run, cursor, ports, is_replay=is_replay)
    if not follower.has_nothing_left:
        await follower.look()
    return follower
