"""What one execution of a run says: numbered, bounded, recorded, handed to its reader."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import assert_never

from agentrun.domain.endings import Ending
from agentrun.domain.errors import EngineError
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    ReasoningDelta,
    RecordedEvent,
    ResetReason,
    RunEvent,
    Start,
    StepReset,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import Clock
from agentrun.domain.runs import AgentRun
from agentrun.domain.turns import TurnEnding, TurnPaused
from agentrun.domain.value import epoch_ms
from agentrun.service.executing.recorder import RunRecorder
from agentrun.service.starting.start_run import Progress

EVENT_OVERHEAD_CHARACTERS = 96
BURST_S = 0.0004
"""Events that follow each other faster share a chunk: sending it costs more than making them."""


class RunEvents:
    """
    Numbers a run's events and sums them up: the answer, the figures, the turn's result.

    A later execution of a run goes on from the run's progress: with its next id, its text and its
    figures.
    """

    def __init__(
        self, run: AgentRun, recorder: RunRecorder, clock: Clock, progress: Progress
    ) -> None:
        self._is_first = progress.start_id == 1
        self.live = LiveEvents()
        self.result: TurnEnding | None = None
        self.began_at = run.started_at if run.started_at and self._is_first else clock.now()
        self.last_id = progress.start_id - 1
        self.resets = progress.resets
        self._run = run
        self._recorder = recorder
        self._clock = clock
        self._output = [progress.output] if progress.output else []
        self._output_bytes = len(progress.output.encode())
        self._progress = progress
        self._stands_up_to = progress.stands_up_to or progress.start_id
        self._standing = len(self._output)
        self._held: list[RecordedEvent] = []
        self._metrics = Metrics()

    def begin(self) -> None:
        """Say START, and STEP_RESET where an earlier execution has said what is void."""
        run = self._run
        start = Start(run_id=run.id, session_id=run.session_id, agent_id=run.agent_id)
        at = run.created_at if self._is_first else self._clock.now()
        self.live.publish(self.record(start, at=at))
        if self._progress.reset is not None:
            self._reset(self._progress.reset)

    def void_answer(self) -> None:
        """Take back what was said since the last step: the model has broken off."""
        del self._output[self._standing :]
        self._output_bytes = sum(len(text.encode()) for text in self._output)
        self._reset(ResetReason.MODEL_INTERRUPTED)

    def _reset(self, reason: ResetReason) -> None:
        self.resets += 1
        reset = StepReset(to_event_id=self._stands_up_to, attempt=self.resets + 1, reason=reason)
        self._say(reset)

    def hold(self, event: EngineEvent) -> None:
        """
        Number and record an event, and keep it from the reader until a step is durable.

        Raises:
            EngineError: As `take` does.
        """
        if self._recorder.is_full:
            raise UnrecordedError
        self._held.append(self.record(event, at=self._clock.now(), is_held=True))

    def step_kept(self, event_id: int) -> None:
        """Note that all up to this event stands for good, and publish what was held."""
        self._stands_up_to = event_id
        self._standing = len(self._output)
        self.release()

    def release(self) -> None:
        """Publish what was held."""
        held, self._held = self._held, []
        for recorded in held:
            self.live.publish(recorded)

    def take(self, event: EngineEvent) -> None:
        """
        Publish and record an event of the engine, or keep its figures and result.

        Raises:
            EngineError: The answer is too long, or the store does not keep up.
        """
        if self._recorder.is_full:
            raise UnrecordedError
        match event:
            case ContentDelta():
                self._say(event)
                self._output.append(event.text)
                self._output_bytes += len(event.text.encode())
                if self._output_bytes > MAX_OUTPUT_BYTES:
                    raise OutputTooLargeError
            case ReasoningDelta() | ToolStart() | ToolEnd() | ToolError():
                self._say(event)
            case Metrics():
                self._metrics = event
            case _:
                assert_never(event)

    def end_turn(self, ending: TurnEnding) -> None:
        """
        Keep how the engine has ended the turn.

        Raises:
            EngineError: It has paused for calls that are too large to be stored.
        """
        if isinstance(ending, TurnPaused) and is_too_large_to_approve(ending):
            raise ApprovalTooLargeError
        self.result = ending

    def _say(self, event: RunEvent) -> None:
        recorded = self.record(event, at=self._clock.now())
        if self._held:
            self._held.append(recorded)
        else:
            self.live.publish(recorded)

    def record(self, event: RunEvent, *, at: datetime, is_held: bool = False) -> RecordedEvent:
        """
        Number and record an event without publishing it; if `is_held`, with the next step only.

        Raises:
            ValueError: It cannot be written as JSON in UTF-8, and was not recorded.
        """
        # First of all: an event that cannot be written must get no number.
        size = _size_in_characters(event)
        self.last_id += 1
        recorded = RecordedEvent(id=self.last_id, timestamp_ms=epoch_ms(at), event=event)
        add = self._recorder.hold if is_held else self._recorder.add
        add(recorded, characters=size)
        return recorded

    def take_back(self, *, after: int) -> None:
        """Forget the events above an id: an end that could not be written."""
        self.last_id = after
        self._recorder.take_back(after=after)

    @property
    def output(self) -> str:
        """The answer so far."""
        return "".join(self._output)

    @property
    def tokens(self) -> int:
        """How many tokens this execution has used, as far as is known."""
        return self._metrics.total_tokens or 0

    def metrics(self) -> Metrics:
        """Return the run's figures so far, those of earlier executions included."""
        duration_ms = int((self._clock.now() - self.began_at).total_seconds() * 1000)
        now, before = self._metrics.lasting(max(0, duration_ms)), self._progress.used
        return now if before is None else now.added_to(before)

    def ending(self) -> Ending:
        """Return what every outcome has; METRICS and the terminal event are counted already."""
        return Ending(output=self.output, metrics=self.metrics(), last_event_id=self.last_id + 2)


def _size_in_characters(event: RunEvent) -> int:
    match event:
        case ContentDelta() | ReasoningDelta():
            # Raises what writing it would raise, at far less cost than dumping each event.
            event.text.encode()
            return len(event.text) + EVENT_OVERHEAD_CHARACTERS
        case _:
            return max(EVENT_OVERHEAD_CHARACTERS, len(event.model_dump_json()))


MAX_OUTPUT_BYTES = 5 * 1024 * 1024
"""What one status answer can carry as plain text: Lambda's 6 MB, less headers."""


class OutputTooLargeError(EngineError):
    """The answer has become too long for one status answer."""

    def __init__(self) -> None:
        super().__init__(
            "The answer grew past 5 MiB; what it had so far is kept.",
            error_type="OUTPUT_TOO_LARGE",
        )


class UnrecordedError(EngineError):
    """More events wait to be stored than memory has room for."""

    def __init__(self) -> None:
        super().__init__(
            "The run was stopped: what it said could not be stored for too long.",
            error_type="STORE_UNAVAILABLE",
        )


MAX_APPROVAL_BYTES = 200 * 1024
"""Of the pending calls in JSON: they are kept in the run's header, an item of at most 400 KB."""


class ApprovalTooLargeError(EngineError):
    """The calls that wait for approval are too large to keep."""

    def __init__(self) -> None:
        super().__init__(
            "The tool calls that need an approval are too large.",
            error_type="APPROVAL_TOO_LARGE",
        )


def is_too_large_to_approve(paused: TurnPaused) -> bool:
    """Tell whether a pause is too large to be stored."""
    size_bytes = sum(len(call.model_dump_json().encode()) for call in paused.pending)
    return size_bytes > MAX_APPROVAL_BYTES


class LiveEvents:
    """
    A run's events on their way to the connected client.

    Publishing never blocks. Once the reader has gone, events are dropped: the log has them.
    """

    def __init__(self) -> None:
        self._ready: deque[RecordedEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._abandoned = False
        self.last_id = 0

    @property
    def has_reader(self) -> bool:
        """Whether somebody reads, or may still begin to."""
        return not self._abandoned

    def publish(self, event: RecordedEvent) -> None:
        """Hand an event on; `last_id` is the id of the last one."""
        self.last_id = event.id
        if not self._abandoned:
            self._ready.append(event)
            self._wake()

    def abandon(self) -> None:
        """Drop all events, now and later: the reader has gone."""
        self._abandoned = True
        self._ready.clear()

    def end(self) -> None:
        """End the stream after the events that have been published."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def batches(self, *, idle_s: float) -> AsyncGenerator[list[RecordedEvent], None]:
        """
        Yield the waiting events as soon as there are any; an empty list after `idle_s` of silence.

        One reader only. One timer watches the silence, rather than one for each event.
        """
        loop = asyncio.get_running_loop()
        watch = _SilenceWatch(loop, idle_s, self._wake)
        handed_over_at = float("-inf")
        try:
            while True:
                if not self._ready and not self._ended:
                    self._waiter = loop.create_future()
                    await self._waiter
                if loop.time() < (until := handed_over_at + BURST_S):
                    await self._gather(until)
                batch = list(self._ready)
                self._ready.clear()
                if batch or not self._ended:
                    watch.spoke()
                    yield batch
                    handed_over_at = loop.time()
                if self._ended and not self._ready:
                    return
        finally:
            watch.stop()
            self.abandon()

    async def _gather(self, until: float) -> None:
        """Wait for more, as long as each tick of the event loop brings some."""
        loop, seen = asyncio.get_running_loop(), 0
        while len(self._ready) > seen and not self._ended and loop.time() < until:
            seen = len(self._ready)
            await asyncio.sleep(0)


class _SilenceWatch:
    """Calls back whenever `idle_s` have passed since `spoke` was last called."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, idle_s: float, call: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._idle_s = idle_s
        self._call = call
        self._last = loop.time()
        self._timer = loop.call_later(idle_s, self._check)

    def spoke(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left_s = self._last + self._idle_s - self._loop.time()
        if left_s <= 0:
            self._call()
            left_s = self._idle_s
        self._timer = self._loop.call_later(left_s, self._check)
