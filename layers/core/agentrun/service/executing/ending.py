"""How an execution ends: its bounds, its outcome or what others made of it, what it keeps."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import Enum, auto
from functools import partial
from typing import TypeVar, assert_never

from agentrun.domain.approvals import approval_id
from agentrun.domain.errors import (
    CancelRequestedError,
    CannotResumeError,
    EngineError,
    FencedError,
    HandedOverError,
    MayNotActError,
)
from agentrun.domain.events import Metrics, Paused, PauseType, PendingApproval, RecordedEvent
from agentrun.domain.runs import (
    AgentRun,
    CancelledByRequest,
    Completed,
    Failed,
    Outcome,
    PausedForApproval,
    RunKey,
)
from agentrun.domain.steps import Continued, Step
from agentrun.domain.turns import Checkpoint, TurnPaused
from agentrun.service.executing.bounds import Bound
from agentrun.service.executing.run_events import RunEvents
from agentrun.service.executing.turn_host import RunHost
from agentrun.service.ports import RunPorts, every, in_thread, retried
from agentrun.service.reading.replay import end_event, said_of_ended, said_up_to
from agentrun.service.starting.start_run import PendingExecution

log = logging.getLogger(__name__)

READ_AGAIN_AFTER_S = 0.25
KEEP_AGAIN_AFTER_S = 2.0
KEEP_PATIENCE_S = 10.0
"""How long an execution waits for its earlier events to be kept; 1,000 segments take seconds."""
KEEP_RESERVE_S = 0.5
"""How much of the process's time has to be left while it waits."""

_INTERNAL = "The run failed for an internal reason."

T = TypeVar("T")


class HandOver(Enum):
    """The end of an execution whose run goes on elsewhere."""

    NOW = auto()


End = Outcome | HandOver
"""What an execution comes to."""


class Outcomes:
    """Makes outcomes of what an execution has come to."""

    def __init__(self, pending: PendingExecution, events: RunEvents, host: RunHost) -> None:
        self._pending = pending
        self._events = events
        self._host = host

    def at(self, bound: Bound, *, has_begun: bool) -> End:
        """
        Return what becomes of a run whose execution has to end.

        Others may begin one that waits for its session still. Their events get the ids that this
        execution's would have, so that it must not say any.
        """
        run = self._pending.run
        if not has_begun and (bound is Bound.LEASE or run.is_background):
            return HandOver.NOW
        if bound is not Bound.DURATION and run.max_attempts > 1:
            return HandOver.NOW
        match bound:
            case Bound.STOPPED:
                return self.failed("EXECUTOR_STOPPED", "The run was stopped with its process.")
            case Bound.DEADLINE | Bound.DURATION:
                return self.failed("DEADLINE_EXCEEDED", "The run took longer than it may.")
            case Bound.LEASE:
                error = MayNotActError()
                return self.failed(error.error_type, str(error))
            case _:
                assert_never(bound)

    def of(self, consuming: asyncio.Task[None]) -> End:
        """
        Return what an engine that has ended has come to.

        Raises:
            FencedError: The run is somebody else's.
        """
        # An engine that is cancelled from within has failed: nothing here has cancelled it.
        error = (
            EngineError("The agent broke off.") if consuming.cancelled() else consuming.exception()
        )
        match error:
            case None:
                return self._ended()
            case FencedError():
                raise error
            case CancelRequestedError():
                return self.cancelled()
            case HandedOverError():
                return HandOver.NOW
            case CannotResumeError():
                log.error("run paused again: %s", error, extra=self._extra())
                return self._paused_again()
            case EngineError():
                return self.failed(error.error_type, str(error), cause=error.__cause__)
            case _:
                return self.failed("INTERNAL_ERROR", _INTERNAL, cause=error)

    def failed(
        self, error_type: str, message: str, *, cause: BaseException | None = None
    ) -> Failed:
        """Return the outcome of a run that cannot go on; only the log has the cause."""
        if error_type == "INTERNAL_ERROR":
            log.error("run failed", exc_info=cause, extra=self._extra())
        else:
            log.warning("run failed: %s", error_type, exc_info=cause, extra=self._extra())
        return Failed(error_type=error_type, error_message=message, **self._events.ending())

    def unforeseen(self) -> Failed:
        """Return an outcome of plain values only, if the run's own cannot be made or written."""
        return Failed(
            error_type="INTERNAL_ERROR",
            error_message=_INTERNAL,
            output=self._events.output,
            metrics=Metrics(),
            last_event_id=self._events.last_id + 2,
        )

    def cancelled(self) -> CancelledByRequest:
        """Return the outcome of a run that somebody has cancelled."""
        reason = "The run was cancelled on request."
        return CancelledByRequest(reason=reason, **self._events.ending())

    def _extra(self) -> dict[str, str]:
        return {"runId": self._pending.run.id}

    def _ended(self) -> Outcome:
        result = self._events.result
        if isinstance(result, TurnPaused):
            return self._paused(result.type, result.pending, result.state)
        followups = result.followups if result else None
        messages = result.messages if result else None
        return Completed(followups=followups, messages=messages, **self._events.ending())

    def _paused_again(self) -> Outcome:
        task, action = self._pending.task, self._pending.run.required_action
        resumption = task.resumption
        if action is None or resumption is None or any(map(_has_effects, task.steps)):
            return self.failed("CANNOT_RESUME", "The run cannot be continued.")
        return self._paused(action.type, action.approvals, resumption.state)

    def _paused(
        self, kind: PauseType, calls: tuple[PendingApproval, ...], state: str
    ) -> PausedForApproval:
        pending, ending = self._pending, self._events.ending()
        paused_id = approval_id(pending.run.id, ending["last_event_id"])
        return PausedForApproval(
            required_action=Paused(type=kind, approval_id=paused_id, approvals=calls),
            checkpoint=Checkpoint(
                request=pending.request.without_media(),
                state=state,
                media=() if pending.run.has_media else pending.task.media,
                output=ending["output"],
                metrics=ending["metrics"],
                steps=self._host.steps,
                resets=self._events.resets,
                budget=pending.progress.budget,
            ),
            paused_until=pending.ports.runs.clock.now() + pending.ports.approval_expiry,
            **ending,
        )


def _has_effects(step: Step) -> bool:
    """Tell whether a continuation has gone on by this step, or may have done what it decides."""
    return not isinstance(step.content, Continued) or bool(step.content.acting)


async def said_by_others(
    key: RunKey, ports: RunPorts, *, after: int, own_pause: int | None
) -> AsyncGenerator[RecordedEvent, None]:
    """
    Yield what log and header say after an event to the reader of a fenced executor.

    Of a run that has ended that is all up to its end. Of a run that is, or was, paused it is what
    the executor itself said up to its pause, if that was stored: what follows is a continuation,
    which another executor tells. Of any other run it is nothing. Asks again for as long as the
    store is not available; the caller has to set a limit.

    Args:
        key: The run.
        ports: Where it is kept.
        after: The last event that the reader has.
        own_pause: The id of the PAUSED that the executor wanted to say, if it did.

    Raises:
        RunNotFoundError: The run is gone.
    """
    run = await _read(lambda: ports.store.get_state(key), ports)
    if run.status.is_terminal:
        said = partial(said_of_ended, run)
    elif own_pause is not None and run.last_event_id >= own_pause:
        said = partial(said_up_to, own_pause)
    else:
        return
    while events := said(await _read(partial(_stored, key, ports, after), ports)):
        after = events[-1].id
        for event in events:
            yield event
    if (end := end_event(run, after=after)) is not None:
        yield end


def _stored(key: RunKey, ports: RunPorts, after: int) -> Sequence[RecordedEvent]:
    return ports.log.read(key, after=after, at=ports.clock.now())


async def _read(read: Callable[[], T], ports: RunPorts) -> T:
    return await retried(lambda: in_thread(ports.threads, read), every(READ_AGAIN_AFTER_S))


@asynccontextmanager
async def earlier_events_kept(
    run: AgentRun, ports: RunPorts, *, deadline: datetime | None
) -> AsyncGenerator[None, None]:
    """
    Postpone the expiry of a continued run's earlier events while the run is executed.

    If that fails, a replay is not found once the first of them has expired.
    """
    if run.required_action is None:
        yield
        return
    keeping = asyncio.create_task(_keep(run, ports))
    try:
        yield
    finally:
        await asyncio.wait({keeping}, timeout=_patience_s(ports, deadline))
        if not keeping.done() or keeping.exception():
            cause = keeping.exception() if keeping.done() else None
            extra = {"runId": run.id}
            log.error("earlier events may expire early", exc_info=cause, extra=extra)
        keeping.cancel()


def _patience_s(ports: RunPorts, deadline: datetime | None) -> float:
    if deadline is None:
        return KEEP_PATIENCE_S
    left_s = (deadline - ports.clock.now()).total_seconds() - KEEP_RESERVE_S
    return max(0.0, min(KEEP_PATIENCE_S, left_s))


async def _keep(run: AgentRun, ports: RunPorts) -> None:
    keep = partial(ports.log.keep, run.key, since=run.created_at, at=ports.clock.now())
    await retried(lambda: in_thread(ports.threads, keep), every(KEEP_AGAIN_AFTER_S))
