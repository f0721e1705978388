"""Execute a run: from START to its terminal event, whoever listens."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta

from agentrun.domain.errors import EngineError, FencedError, StoreUnavailableError
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    ReasoningDelta,
    RecordedEvent,
    RunEvent,
    Start,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.model import epoch_ms
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.runs import (
    AgentRun,
    CancelledByRequest,
    Completed,
    Failed,
    Outcome,
    terminal_event,
)
from agentrun.service.execution_limits import (
    MAX_OUTPUT_BYTES,
    OutputTooLargeError,
    UnrecordedError,
)
from agentrun.service.live_events import LiveEvents
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_recorder import CancelRequested, RecordingPace, RunRecorder

DEADLINE_RESERVE = timedelta(seconds=5)
FINISH_PATIENCE = timedelta(seconds=60)
"""How long the run's end is tried to be written where no deadline is known."""
EVENT_OVERHEAD_CHARACTERS = 96

log = logging.getLogger(__name__)


class RunExecution:
    """
    One execution of a run; its events go to `live` at once and to the log soon after.

    Terminal events, and METRICS before them, go to `live` only once the run's end is durable.
    """

    def __init__(
        self,
        run: AgentRun,
        task: AgentTask,
        *,
        engine: AgentEngine,
        ports: RunPorts,
        pace: RecordingPace | None = None,
    ) -> None:
        if run.lease is None:
            raise ValueError("an execution needs its run's lease")
        self.run = run
        self.live = LiveEvents()
        self._task = task
        self._engine = engine
        self._clock = ports.clock
        self._recorder = RunRecorder(
            run,
            run.lease.executor,
            ports=ports,
            pace=pace or RecordingPace(),
        )
        self._consuming: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._last_id = 0
        self._output: list[str] = []
        self._output_bytes = 0
        self._metrics = Metrics()

    def batches(self, *, idle_s: float) -> AsyncGenerator[list[RecordedEvent], None]:
        """Give the events as they happen; see `LiveEvents.batches`."""
        return self.live.batches(idle_s=idle_s)

    def stop(self) -> None:
        """End the run as FAILED: the process that executes it has to end."""
        self._is_stopped = True
        if self._consuming is not None:
            self._consuming.cancel()

    async def execute(self, *, deadline: datetime | None = None) -> Outcome | None:
        """
        Run the agent to its end and record it.

        Args:
            deadline: When the process will be stopped; the run ends itself 5 s before.

        Returns:
            How the run ended, durably; None when somebody else has ended it or the store stayed
            away, in which case the stream just breaks and the log or the lease tells the rest.
        """
        try:
            self._emit(Start(**self._identity()), at=self.run.started_at or self._clock.now())
            outcome = await self._run_agent(deadline)
            await self._finish(outcome, self._patience(deadline))
        except (FencedError, StoreUnavailableError) as error:
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
            self.live.end()

    def _identity(self) -> dict[str, str]:
        run = self.run
        return {"run_id": run.id, "session_id": run.session_id, "agent_id": run.agent_id}

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
                return self._failed("DEADLINE_EXCEEDED", "The run took longer than it may.")
            if consuming in done:
                return self._outcome_of(consuming)
            recording.result()
            raise AssertionError("recording ends by itself only with an exception")
        except CancelRequested:
            return self._cancelled()
        finally:
            await self._stop(consuming, recording)

    def _seconds_left(self, deadline: datetime | None) -> float | None:
        if deadline is None:
            return None
        return max(0.0, (deadline - DEADLINE_RESERVE - self._clock.now()).total_seconds())

    async def _stop(self, consuming: asyncio.Task[None], recording: asyncio.Task[None]) -> None:
        """End both tasks; the recorder finishes the write that it is making."""
        consuming.cancel()
        self._recorder.close()
        ended = await asyncio.gather(consuming, recording, return_exceptions=True)
        fenced = ended[1]
        if isinstance(fenced, FencedError):
            raise fenced

    async def _consume(self) -> None:
        async with aclosing(self._engine.run(self._task)) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: EngineEvent) -> None:
        if self._recorder.is_full:
            raise UnrecordedError
        match event:
            case Metrics():
                self._metrics = event
            case ContentDelta():
                self._emit(event)
                self._output.append(event.text)
                self._output_bytes += len(event.text.encode())
                if self._output_bytes > MAX_OUTPUT_BYTES:
                    raise OutputTooLargeError
            case ReasoningDelta() | ToolStart() | ToolEnd() | ToolError():
                self._emit(event)

    def _outcome_of(self, consuming: asyncio.Task[None]) -> Outcome:
        if consuming.cancelled() and self._is_stopped:
            return self._failed("EXECUTOR_STOPPED", "The run was stopped with its process.")
        # An engine that is cancelled from within has failed: nobody here has asked for it.
        error = (
            EngineError("The agent broke off.") if consuming.cancelled() else consuming.exception()
        )
        match error:
            case None:
                return Completed(**self._ending())
            case EngineError():
                log.warning("run failed: %s", error.error_type, extra={"runId": self.run.id})
                return self._failed(error.error_type, str(error))
            case _:
                log.error("run failed", exc_info=error, extra={"runId": self.run.id})
                return self._failed("INTERNAL_ERROR", "The run failed for an internal reason.")

    def _failed(self, error_type: str, message: str) -> Failed:
        return Failed(error_type=error_type, error_message=message, **self._ending())

    def _cancelled(self) -> CancelledByRequest:
        return CancelledByRequest(reason="The run was cancelled on request.", **self._ending())

    def _ending(self) -> dict[str, object]:
        started = self.run.started_at or self.run.created_at
        duration_ms = int((self._clock.now() - started).total_seconds() * 1000)
        return {
            "output": "".join(self._output),
            "metrics": self._metrics.model_copy(update={"duration_ms": duration_ms}),
            # METRICS and the terminal event are still to come.
            "last_event_id": self._last_id + 2,
        }

    def _patience(self, deadline: datetime | None) -> timedelta:
        """Give the time that is left for the end, a second for saying it excepted."""
        if deadline is None:
            return FINISH_PATIENCE
        return deadline - self._clock.now() - timedelta(seconds=1)

    async def _finish(self, outcome: Outcome, patience: timedelta) -> None:
        at = self._clock.now()
        closing = [
            self._record(outcome.metrics, at=at),
            self._record(terminal_event(self.run.id, outcome), at=at),
        ]
        await self._recorder.finish(outcome, at=at, give_up_after=patience)
        for recorded in closing:
            self.live.publish(recorded)

    def _emit(self, event: RunEvent, *, at: datetime | None = None) -> None:
        self.live.publish(self._record(event, at=at or self._clock.now()))

    def _record(self, event: RunEvent, *, at: datetime) -> RecordedEvent:
        self._last_id += 1
        recorded = RecordedEvent(id=self._last_id, timestamp_ms=epoch_ms(at), event=event)
        self._recorder.add(recorded, characters=_size_in_characters(event))
        return recorded


def _size_in_characters(event: RunEvent) -> int:
    match event:
        case ContentDelta() | ReasoningDelta():
            return len(event.text) + EVENT_OVERHEAD_CHARACTERS
        case ToolStart() | ToolEnd():
            return len(event.model_dump_json())
        case _:
            return EVENT_OVERHEAD_CHARACTERS
