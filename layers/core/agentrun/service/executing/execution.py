"""Execute a run: from START to its terminal event, whoever listens."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime, timedelta

from agentrun.domain.errors import (
    FencedError,
    MayNotActError,
    RunNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.events import RecordedEvent
from agentrun.domain.outcomes import Outcome, PausedForApproval, terminal_event
from agentrun.domain.ports import AgentEngine
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.service.executing.bounds import ExecutionBounds, OwnLease
from agentrun.service.executing.end_by_others import said_by_others
from agentrun.service.executing.ending import Ending
from agentrun.service.executing.recorder import RecordingPace, RunRecorder
from agentrun.service.executing.run_events import RunEvents
from agentrun.service.ports import in_thread
from agentrun.service.starting.pending_execution import CancelRequested, PendingExecution

FINISH_PATIENCE = timedelta(seconds=60)
"""How long the run's end is tried to be written where no deadline is known."""
TELL_PATIENCE = timedelta(seconds=10)
"""How long a reader waits to be told what became of a run that is not this execution's any more."""
LEAVE_BEFORE_END_S = 0.25
BEGIN_PATIENCE = timedelta(seconds=4)
"""How long the first event of a continuation is tried to be written; its caller waits for it."""

log = logging.getLogger(__name__)


class RunExecution:
    """
    One execution of a run; its events go to its reader at once and to the log soon after.

    Terminal events, and METRICS before them, go to the reader only once the run's end is durable.
    """

    def __init__(
        self,
        turn: PendingExecution,
        *,
        engine: AgentEngine,
        pace: RecordingPace | None = None,
    ) -> None:
        self.run = run = turn.run
        self._turn = turn
        self._engine = engine
        self._ports = ports = turn.ports.runs
        lease = OwnLease(turn.lease, ports.clock)
        self._bounds = ExecutionBounds(lease, ports.clock)
        self._recorder = RunRecorder(
            run, turn.executor, ports=ports, pace=pace or RecordingPace(), lease=lease
        )
        self._narration = RunEvents(
            run,
            self._recorder,
            ports.clock,
            said_before=turn.said_before,
            used_before=turn.used_before,
        )
        self._ending = Ending(turn, self._narration)
        self._consuming: asyncio.Task[None] | None = None
        self._own_pause: int | None = None
        self._begun: AgentRun | None = None

    def batches(self, *, idle_s: float) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield the events as they happen; see `LiveEvents.batches`."""
        return self._narration.live.batches(idle_s=idle_s)

    def detach(self) -> None:
        """Say that nobody will read the events from here; the log has them."""
        self._narration.live.abandon()

    def stop(self) -> None:
        """End the run as FAILED: the process that executes it has to end."""
        self._bounds.stop()
        if self._consuming is not None:
            self._consuming.cancel()

    def fail(self) -> None:
        """End the run as FAILED: what it says cannot be handed to its reader."""
        if self._consuming is not None:
            self._consuming.cancel()

    async def begin_again(self) -> None:
        """
        Say START of a continuation, durably, and make sure that the run is still this executor's.

        Only then may the engine act: as long as the run's header does not say so, it has not begun
        and may be PAUSED again. A run that is to be cancelled by then ends without its engine.

        Raises:
            FencedError: Somebody else has the run by now.
            StoreUnavailableError: Nothing was said.
        """
        self._begun = await self._recorder.begin_continuation(
            start_id=self._narration.last_id + 1, give_up_after=BEGIN_PATIENCE
        )
        self._narration.live.publish(self._narration.start())

    @property
    def as_begun(self) -> AgentRun:
        """The run, without its texts, as it was stored when this execution began."""
        return self._begun or self.run

    async def execute(self, *, deadline: datetime | None = None) -> Outcome | None:
        """
        Run the agent to its end and record it.

        Args:
            deadline: When the process will be stopped; the run ends itself 5 s before.

        Returns:
            How the run ended, durably; None when somebody else has ended it or the store stayed
            away, in which case the log or the lease tells the rest.
        """
        self._bounds.deadline = deadline
        try:
            return await self._executed(deadline)
        except StoreUnavailableError as error:
            log.warning("run left to its lease: %s", error, extra={"runId": self.run.id})
            return None
        except Exception:
            # The stream's last resort: what nobody foresaw must not keep it open, or be unheard of.
            log.exception("run left to its lease", extra={"runId": self.run.id})
            return None
        finally:
            self._recorder.close()
            self._narration.live.end()

    async def _executed(self, deadline: datetime | None) -> Outcome | None:
        try:
            if self._begun is None:
                self._narration.live.publish(self._narration.start())
            outcome = await self._end_of()
            return await self._finish(outcome, self._patience(deadline))
        except FencedError as error:
            log.warning("run is no longer this executor's: %s", error, extra={"runId": self.run.id})
            await self._tell_end_by_others(min(TELL_PATIENCE, self._patience(deadline)))
            await self._leave()
            return None

    async def _end_of(self) -> Outcome:
        """Run the agent; what nobody foresaw is an end too, as long as it can be written."""
        try:
            return await self._run_agent()
        except (FencedError, StoreUnavailableError):
            raise
        except Exception:
            log.exception("the run cannot go on", extra={"runId": self.run.id})
            return self._ending.unforeseen()

    async def _run_agent(self) -> Outcome:
        """Consume the engine beside the recorder, within bounds; whoever ends first decides."""
        if self.as_begun.cancel_requested:
            return self._ending.cancelled()
        consuming = self._consuming = asyncio.create_task(self._consume())
        recording = asyncio.create_task(self._recorder.record())
        self._bounds.watch(recording)
        try:
            while (end := self._end_by_now(consuming, recording)) is None:
                await asyncio.wait(
                    {consuming, recording},
                    timeout=self._bounds.look_again_in_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
        except CancelRequested:
            return self._ending.cancelled()
        else:
            return end
        finally:
            await self._stop(consuming, recording)

    def _end_by_now(
        self, consuming: asyncio.Task[None], recording: asyncio.Task[None]
    ) -> Outcome | None:
        """Return the end that the run has come to, if it has; the first cause counts."""
        bound = self._bounds.reached()
        if consuming.done():
            # An engine that was told not to act, or was stopped, does not itself know why.
            was_held_back = consuming.cancelled() or isinstance(
                consuming.exception(), MayNotActError
            )
            if not was_held_back or (bound is None and not recording.done()):
                return self._ending.of(consuming)
        if recording.done():
            recording.result()
            raise AssertionError("recording ends by itself only with an exception")
        return None if bound is None else self._ending.at(bound)

    async def _stop(self, consuming: asyncio.Task[None], recording: asyncio.Task[None]) -> None:
        """End both tasks; the recorder finishes the write that it is making."""
        self._bounds.close()
        consuming.cancel()
        self._recorder.close()
        ended = await asyncio.gather(consuming, recording, return_exceptions=True)
        fenced = ended[1]
        if isinstance(fenced, FencedError):
            raise fenced

    async def _consume(self) -> None:
        task = await self._turn.prepare()
        if self.run.status is RunStatus.QUEUED:
            self._narration.began_at = self._ports.clock.now()
        narration = self._narration
        narration.end_turn(
            await self._engine.run(task, say=narration.take, before_tool=self._bounds.before_tool)
        )

    def _patience(self, deadline: datetime | None) -> timedelta:
        """Return the time that is left for the end, a second for saying it excepted."""
        if deadline is None:
            return FINISH_PATIENCE
        return deadline - self._ports.clock.now() - timedelta(seconds=1)

    async def _finish(self, outcome: Outcome, patience: timedelta) -> Outcome:
        said = self._narration.last_id
        try:
            closing = await self._write_end(outcome, patience)
        except (FencedError, StoreUnavailableError):
            raise
        except Exception:
            log.exception("the end of the run cannot be written", extra={"runId": self.run.id})
            self._narration.take_back(after=said)
            outcome = self._ending.unforeseen()
            closing = await self._write_end(outcome, patience, singly=True)
        leaving = asyncio.create_task(self._leave())
        # Whoever answers to the end at once finds the session free, if the store is not slow.
        await asyncio.wait({leaving}, timeout=LEAVE_BEFORE_END_S)
        for recorded in closing:
            self._narration.live.publish(recorded)
        await leaving
        return outcome

    async def _write_end(
        self, outcome: Outcome, patience: timedelta, *, singly: bool = False
    ) -> list[RecordedEvent]:
        at = self._ports.clock.now()
        closing = [
            self._narration.record(outcome.metrics, at=at),
            self._narration.record(terminal_event(self.run.id, outcome), at=at),
        ]
        self._own_pause = closing[-1].id if isinstance(outcome, PausedForApproval) else None
        await self._recorder.finish(outcome, at=at, give_up_after=patience, singly=singly)
        return closing

    async def _leave(self) -> None:
        """Let go of the session and of the slot; where that fails, the next one looks closer."""
        await asyncio.gather(
            self._release(),
            self._turn.ports.slots.give_back(self._turn.slot, tokens=self._narration.tokens),
        )

    async def _release(self) -> None:
        with suppress(StoreUnavailableError):
            await in_thread(self._ports.threads, self._ports.store.release, self.run)

    async def _tell_end_by_others(self, patience: timedelta) -> None:
        """Let the reader have what log and header say of the run beyond what it was told."""
        live = self._narration.live
        if not live.has_reader:
            return
        said = said_by_others(
            self.run.key, self._ports, after=live.last_id, own_pause=self._own_pause
        )
        with suppress(RunNotFoundError, TimeoutError):
            async with asyncio.timeout(patience.total_seconds()), aclosing(said) as events:
                async for event in events:
                    live.publish(event)
