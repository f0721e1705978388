"""Execute a run: from START to its terminal event, whoever listens."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime, timedelta

from agentrun.domain.errors import FencedError, RunNotFoundError, StoreUnavailableError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.outcomes import Outcome, terminal_event
from agentrun.domain.ports import AgentEngine
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.service.blocking import in_thread
from agentrun.service.derived_events import derived_end
from agentrun.service.execution_end import Ending
from agentrun.service.pending_turn import PendingTurn
from agentrun.service.run_narration import RunNarration
from agentrun.service.run_recorder import CancelRequested, RecordingPace, RunRecorder

DEADLINE_RESERVE = timedelta(seconds=5)
FINISH_PATIENCE = timedelta(seconds=60)
"""How long the run's end is tried to be written where no deadline is known."""
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
        turn: PendingTurn,
        *,
        engine: AgentEngine,
        pace: RecordingPace | None = None,
    ) -> None:
        self.run = run = turn.run
        self._turn = turn
        self._engine = engine
        self._ports = ports = turn.ports.runs
        self._recorder = RunRecorder(run, turn.executor, ports=ports, pace=pace or RecordingPace())
        self._narration = RunNarration(
            run,
            self._recorder,
            ports.clock,
            said_before=turn.said_before,
            used_before=turn.used_before,
        )
        self._ending = Ending(turn, self._narration)
        self._consuming: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._has_begun = False

    def batches(self, *, idle_s: float) -> AsyncGenerator[list[RecordedEvent], None]:
        """Give the events as they happen; see `LiveEvents.batches`."""
        return self._narration.live.batches(idle_s=idle_s)

    def detach(self) -> None:
        """Say that nobody will read the events from here; the log has them."""
        self._narration.live.abandon()

    def stop(self) -> None:
        """End the run as FAILED: the process that executes it has to end."""
        self._is_stopped = True
        if self._consuming is not None:
            self._consuming.cancel()

    def fail(self) -> None:
        """End the run as FAILED: what it says cannot be handed to its reader."""
        if self._consuming is not None:
            self._consuming.cancel()

    async def begin_again(self) -> None:
        """
        Say START of a continuation, durably, and make sure that the run is still this executor's.

        Only then may the engine act: as long as nothing is stored, the run may be PAUSED again.

        Raises:
            FencedError: Somebody else has the run by now.
            StoreUnavailableError: Nothing was said.
        """
        start = self._narration.start()
        await self._recorder.write_now(give_up_after=BEGIN_PATIENCE)
        self._has_begun = True
        self._narration.live.publish(start)

    async def execute(self, *, deadline: datetime | None = None) -> Outcome | None:
        """
        Run the agent to its end and record it.

        Args:
            deadline: When the process will be stopped; the run ends itself 5 s before.

        Returns:
            How the run ended, durably; None when somebody else has ended it or the store stayed
            away, in which case the log or the lease tells the rest.
        """
        try:
            if not self._has_begun:
                self._narration.live.publish(self._narration.start())
            outcome = await self._end_of(deadline)
            outcome = await self._finish(outcome, self._patience(deadline))
        except FencedError as error:
            log.warning("run left to whoever has it: %s", error, extra={"runId": self.run.id})
            await self._tell_end_by_others()
            await self._leave()
            return None
        except StoreUnavailableError as error:
            log.warning("run left to its lease: %s", error, extra={"runId": self.run.id})
            return None
        except Exception:
            # The stream's last resort: what nobody foresaw must not keep it open, or be unheard of.
            log.exception("run left to its lease", extra={"runId": self.run.id})
            return None
        else:
            return outcome
        finally:
            self._recorder.close()
            self._narration.live.end()

    async def _end_of(self, deadline: datetime | None) -> Outcome:
        """Run the agent; what nobody foresaw is an end too, as long as it can be written."""
        try:
            return await self._run_agent(deadline)
        except (FencedError, StoreUnavailableError):
            raise
        except Exception:
            log.exception("the run cannot go on", extra={"runId": self.run.id})
            return self._ending.unforeseen()

    async def _run_agent(self, deadline: datetime | None) -> Outcome:
        """Consume the engine beside the recorder; whoever ends first decides."""
        consuming = self._consuming = asyncio.create_task(self._consume())
        recording = asyncio.create_task(self._recorder.record())
        try:
            done, _ = await asyncio.wait(
                {consuming, recording},
                timeout=self._seconds_left(deadline),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                return self._ending.failed("DEADLINE_EXCEEDED", "The run took longer than it may.")
            if consuming in done:
                return self._ending.of(consuming, is_stopped=self._is_stopped)
            recording.result()
            raise AssertionError("recording ends by itself only with an exception")
        except CancelRequested:
            return self._ending.cancelled()
        finally:
            await self._stop(consuming, recording)

    def _seconds_left(self, deadline: datetime | None) -> float | None:
        if deadline is None:
            return None
        return max(0.0, (deadline - DEADLINE_RESERVE - self._ports.clock.now()).total_seconds())

    async def _stop(self, consuming: asyncio.Task[None], recording: asyncio.Task[None]) -> None:
        """End both tasks; the recorder finishes the write that it is making."""
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
        async with aclosing(self._engine.run(task)) as events:
            async for event in events:
                self._narration.take(event)

    def _patience(self, deadline: datetime | None) -> timedelta:
        """Give the time that is left for the end, a second for saying it excepted."""
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

    async def _tell_end_by_others(self) -> None:
        """Let the reader see the end that somebody else has given the run."""
        with suppress(StoreUnavailableError, RunNotFoundError):
            run: AgentRun = await in_thread(
                self._ports.threads, self._ports.store.get_state, self.run.key
            )
            end = derived_end(run, after=self._narration.last_id)
            if end is not None:
                self._narration.live.publish(end)
