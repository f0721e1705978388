"""Execute a run from START to its terminal event, whether anybody reads it or not."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from functools import partial

from agentrun.domain.conversations import PastTurn
from agentrun.domain.endings import LEASE_GRACE_S, Outcome, PausedForDecision, terminal_event
from agentrun.domain.errors import (
    BudgetExceededError,
    CancelRequestedError,
    EngineError,
    FencedError,
    MayNotActError,
    RunNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.events import Metrics, RecordedEvent
from agentrun.domain.ports import CANCEL_REQUESTED, AgentEngine, AgentTask
from agentrun.domain.runs import LEASE_DURATION, UNDER_WAY, AgentRun, RunKey, RunStatus
from agentrun.domain.steps import Continued, Step
from agentrun.service.executing.bounds import ExecutionBounds, OwnLease
from agentrun.service.executing.ending import End, HandOver, Outcomes, said_by_others
from agentrun.service.executing.recorder import RecordingPace, RunRecorder
from agentrun.service.executing.run_events import RunEvents
from agentrun.service.executing.turn_host import RunHost
from agentrun.service.ports import every, in_thread, retried
from agentrun.service.starting.session_queue import wait_in_queue
from agentrun.service.starting.start_run import PendingExecution

FINISH_PATIENCE = timedelta(seconds=60)
"""For how long to try to write the run's end where no deadline is known."""
TELL_PATIENCE = timedelta(seconds=10)
"""For how long to look up, for the reader, what others have made of the run."""
LEAVE_BEFORE_END_S = 0.25
HISTORY_TURNS = 50
"""How many earlier runs are read; their agent says how much of them a model is shown."""
HISTORY_PATIENCE_S = 20.0
HISTORY_AGAIN_AFTER_S = 0.25
BEGIN_PATIENCE = timedelta(seconds=4)
"""For how long to try to write the first event of a continuation, while its caller waits."""

log = logging.getLogger(__name__)


class RunExecution:
    """
    One execution of a run; its events go to its reader at once and to the log soon after.

    Terminal events, and METRICS before them, go to the reader only once the run's end is durable.
    """

    def __init__(
        self, pending: PendingExecution, *, engine: AgentEngine, pace: RecordingPace | None = None
    ) -> None:
        self.run = run = pending.run
        self._pending = pending
        self._engine = engine
        self._ports = ports = pending.ports.runs
        lease = OwnLease(pending.lease, ports.clock)
        self._bounds = ExecutionBounds(lease, ports.clock)
        self._recorder = RunRecorder(
            run, pending.lease.executor, ports=ports, pace=pace or RecordingPace(), lease=lease
        )
        self._events = RunEvents(run, self._recorder, ports.clock, pending.progress)
        self._host = RunHost(pending, self._events, self._recorder, self._bounds)
        self._outcomes = Outcomes(pending, self._events, self._host)
        self.was_handed_over = False
        self.is_seen_to = False
        """Whether the run has ended, is paused, or was handed over; it needs no other executor."""
        self._consuming: asyncio.Task[None] | None = None
        self._own_pause: int | None = None
        self._has_its_session = run.status is RunStatus.RUNNING
        self._begun: AgentRun | None = None

    def batches(self, *, idle_s: float) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield the events as they happen; see `LiveEvents.batches`."""
        return self._events.live.batches(idle_s=idle_s)

    @property
    def last_event_id(self) -> int:
        """The id of the last event so far, stored by now or not."""
        return self._events.last_id

    def detach(self) -> None:
        """Stop handing events on: their reader has gone. The log has them."""
        self._events.live.abandon()

    def stop(self) -> None:
        """End the run as FAILED because the process has to end."""
        self._bounds.stop()
        if self._consuming is not None:
            self._consuming.cancel()

    def fail(self) -> None:
        """End the run as FAILED because its events cannot be handed to its reader."""
        if self._consuming is not None:
            self._consuming.cancel()

    async def begin_again(self) -> None:
        """
        Make START of a continuation durable while the run is still this executor's.

        Only then may the engine act: until the run's header says that it has begun, the run may be
        PAUSED again. A run that is to be cancelled by then ends without its engine.

        Raises:
            FencedError: Another executor has the run by now.
            StoreUnavailableError: The continuation has not begun.
        """
        start_id, continued = self._events.last_id + 1, self._pending.continued or Continued()
        step = Step(
            number=self._host.steps + 1,
            event_id=start_id,
            metrics=self._pending.progress.used or Metrics(),
            content=continued,
        )
        self._begun = await self._recorder.begin_continuation(
            start_id=start_id, step=step, give_up_after=BEGIN_PATIENCE
        )
        self._host.steps += 1
        self._events.begin()

    @property
    def as_begun(self) -> AgentRun:
        """The run, without its texts, as it was stored when this execution began."""
        return self._begun or self.run

    async def execute(self, *, deadline: datetime | None = None) -> Outcome | None:
        """
        Run the agent to its end and record it.

        Args:
            deadline: When the process will be stopped; the execution ends itself 5 s before, and
                hands the run over.

        Returns:
            How the run ended, durably; None if it goes on elsewhere, if somebody else has ended it,
            or if the store was not available, in which case its lease lapses.
        """
        self._bounds.begin(deadline=deadline)
        if self.run.status is not RunStatus.QUEUED:
            self._bounds.last_until(self._over_at())
        try:
            return await self._executed(deadline)
        except StoreUnavailableError as error:
            log.warning("run left to its lease: %s", error, extra={"runId": self.run.id})
            return None
        except Exception:
            # The stream's last resort: no error may keep it open, or go unlogged.
            log.exception("run left to its lease", extra={"runId": self.run.id})
            return None
        finally:
            self._recorder.close()
            self._events.live.end()

    async def _executed(self, deadline: datetime | None) -> Outcome | None:
        try:
            if self._begun is None:
                self._events.begin()
            end = await self._end_of()
            if end is HandOver.NOW:
                await self._hand_over(self._patience(deadline))
                return None
            outcome = await self._finish(end, self._patience(deadline))
            self.is_seen_to = True
            return outcome
        except FencedError as error:
            log.warning("run is no longer this executor's: %s", error, extra={"runId": self.run.id})
            await self._tell_end_by_others(min(TELL_PATIENCE, self._patience(deadline)))
            if not await self._goes_on_elsewhere():
                await self._leave()
                self.is_seen_to = True
            return None

    def _over_at(self) -> datetime:
        """Return when the run has been executed for as long as its agent allows."""
        used = self._pending.progress.used
        lasted = timedelta(milliseconds=(used and used.duration_ms) or 0)
        longest = timedelta(seconds=self._pending.task.agent.max_duration_s)
        return self._ports.clock.now() + longest - lasted

    async def _end_of(self) -> End:
        """Run the agent; an unforeseen error is an end, too, as long as it can be written."""
        try:
            return await self._run_agent()
        except (FencedError, StoreUnavailableError):
            raise
        except Exception:
            log.exception("the run cannot go on", extra={"runId": self.run.id})
            return self._outcomes.unforeseen()

    async def _run_agent(self) -> End:
        """Consume the engine beside the recorder, within bounds; the first to end decides."""
        if self.as_begun.cancel_requested:
            return self._outcomes.cancelled()
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
        except CancelRequestedError:
            # The first message of two counts.
            consuming.cancel(CANCEL_REQUESTED)
            end = self._outcomes.cancelled
        finally:
            await self._stop(consuming, recording)
        # Not before: an engine that is being stopped may still say something, in a task of its own.
        return end()

    def _end_by_now(
        self, consuming: asyncio.Task[None], recording: asyncio.Task[None]
    ) -> Callable[[], End] | None:
        """Return what makes the run's end if it has come; the first cause counts."""
        bound = self._bounds.reached()
        if consuming.done():
            # An engine that was told not to act, or was stopped, does not itself know why.
            was_held_back = consuming.cancelled() or isinstance(
                consuming.exception(), MayNotActError
            )
            if not was_held_back or (bound is None and not recording.done()):
                return partial(self._outcomes.of, consuming)
        if recording.done():
            recording.result()
            raise AssertionError("recording ends by itself only with an exception")
        if bound is None:
            return None
        return lambda: self._outcomes.at(bound, has_begun=self._has_its_session)

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
        if self._pending.broken is not None:
            raise self._pending.broken
        task = await self._prepare()
        if self.run.status is RunStatus.QUEUED:
            self._events.began_at = self._ports.clock.now()
            self._bounds.last_until(self._over_at())
        self._events.end_turn(await self._engine.run(task, self._host))

    async def _prepare(self) -> AgentTask:
        """
        Wait until the run's session is free, then read the conversation so far.

        Raises:
            FencedError: Somebody has ended the run meanwhile.
            CancelRequestedError: Somebody had asked for its end when the session became free.
            EngineError: The conversation cannot be read.
        """
        pending, run = self._pending, self.run
        if run.status is RunStatus.QUEUED:
            conversations, executor = pending.ports.conversations, pending.lease.executor
            taken = await wait_in_queue(
                run, executor, conversations=conversations, ports=self._ports
            )
            self._has_its_session = True
            if taken.cancel_requested:
                raise CancelRequestedError
        if pending.begins_session:
            return pending.task
        return pending.task.with_history(await self._history())

    async def _history(self) -> Sequence[PastTurn]:
        run = self.run
        read = partial(
            self._pending.ports.conversations.turns,
            run.org_id,
            run.session_id,
            newest=HISTORY_TURNS,
            except_run=run.id,
        )
        pauses = every(HISTORY_AGAIN_AFTER_S, for_s=HISTORY_PATIENCE_S)
        try:
            return await retried(lambda: in_thread(self._ports.threads, read), pauses)
        except StoreUnavailableError as error:
            message = "The conversation could not be read."
            raise EngineError(message, error_type="STORE_UNAVAILABLE") from error

    def _patience(self, deadline: datetime | None) -> timedelta:
        """Return the time that is left to write the end, less a second to tell the reader."""
        if deadline is None:
            return FINISH_PATIENCE
        return deadline - self._ports.clock.now() - timedelta(seconds=1)

    async def _finish(self, outcome: Outcome, patience: timedelta) -> Outcome:
        said = self._events.last_id
        try:
            closing = await self._write_end(outcome, patience)
        except (FencedError, StoreUnavailableError):
            raise
        except Exception:
            log.exception("the end of the run cannot be written", extra={"runId": self.run.id})
            self._events.take_back(after=said)
            outcome = self._outcomes.unforeseen()
            closing = await self._write_end(outcome, patience, singly=True)
        self._events.release()
        leaving = asyncio.create_task(self._leave())
        # A client that answers at once finds the session free, unless the store is slow.
        await asyncio.wait({leaving}, timeout=LEAVE_BEFORE_END_S)
        for recorded in closing:
            self._events.live.publish(recorded)
        await leaving
        return outcome

    async def _write_end(
        self, outcome: Outcome, patience: timedelta, *, singly: bool = False
    ) -> list[RecordedEvent]:
        at = self._ports.clock.now()
        closing = [
            self._events.record(outcome.metrics, at=at),
            self._events.record(terminal_event(self.run.id, outcome), at=at),
        ]
        self._own_pause = closing[-1].id if isinstance(outcome, PausedForDecision) else None
        await self._recorder.finish(outcome, at=at, give_up_after=patience, singly=singly)
        return closing

    async def _hand_over(self, patience: timedelta) -> None:
        """
        Let go of the run in good order, and ask for another executor.

        One that still waits for its session has nothing to hand over: its lease lapses.
        """
        delay = LEASE_DURATION + timedelta(seconds=LEASE_GRACE_S)
        if self._recorder.is_holding:
            # Its tool would run again, and readers would have two results.
            raise StoreUnavailableError("A step could not be written.")
        if self._has_its_session:
            events = self._events
            await self._recorder.hand_over(
                last_event_id=events.last_id, used=events.metrics(), give_up_after=patience
            )
            self._events.release()
            delay = timedelta()
        self.was_handed_over = True
        with suppress(BudgetExceededError):
            await self._pending.ports.slots.count(self._pending.slot, tokens=self._host.uncounted)
        log.info("run handed over", extra={"runId": self.run.id})
        threads, send = self._ports.threads, self._ports.queue.send
        await in_thread(threads, send, self.run.key, delay=delay)
        self.is_seen_to = True

    async def _goes_on_elsewhere(self) -> bool:
        """Tell whether another executor has the run, and so its session and its slot."""
        try:
            run = await in_thread(self._ports.threads, self._ports.store.get_state, self.run.key)
        except RunNotFoundError:
            return False
        except StoreUnavailableError:
            return True
        return run.status in UNDER_WAY

    async def _leave(self) -> None:
        """Let go of the session and of the slot; if that fails, the next start finds out."""
        await asyncio.gather(
            self._release(),
            self._pending.ports.slots.give_back(self._pending.slot, tokens=self._host.uncounted),
        )

    async def _release(self) -> None:
        """Let go of the session, and have the next one of its queue begin that nobody streams."""
        ports, run = self._ports, self.run
        with suppress(StoreUnavailableError):
            next_id = await in_thread(ports.threads, ports.store.release, run)
            if next_id is not None:
                key = RunKey(tenant=run.org_id, run_id=next_id)
                await in_thread(ports.threads, ports.queue.send, key)

    async def _tell_end_by_others(self, patience: timedelta) -> None:
        """Publish what log and header say of the run beyond what its reader has."""
        live = self._events.live
        if not live.has_reader:
            return
        said = said_by_others(
            self.run.key, self._ports, after=live.last_id, own_pause=self._own_pause
        )
        with suppress(RunNotFoundError, TimeoutError):
            async with asyncio.timeout(patience.total_seconds()), aclosing(said) as events:
                async for event in events:
                    live.publish(event)
