"""How an execution's end becomes the run's."""

import asyncio
import logging
from typing import assert_never

from agentrun.domain.approvals import approval_id
from agentrun.domain.errors import CannotResumeError, EngineError, FencedError, MayNotActError
from agentrun.domain.events import Metrics, Paused, PendingApproval
from agentrun.domain.outcomes import (
    CancelledByRequest,
    Completed,
    Failed,
    Outcome,
    PausedForApproval,
)
from agentrun.domain.turns import Checkpoint, TurnPaused
from agentrun.service.executing.bounds import Bound
from agentrun.service.executing.run_events import RunEvents
from agentrun.service.starting.pending_execution import CancelRequested, PendingExecution

log = logging.getLogger(__name__)

_INTERNAL = "The run failed for an internal reason."


class Ending:
    """Makes outcomes of what an execution has come to."""

    def __init__(self, turn: PendingExecution, narration: RunEvents) -> None:
        self._turn = turn
        self._narration = narration

    def at(self, bound: Bound) -> Failed:
        """Return the outcome of a run that had to end."""
        match bound:
            case Bound.STOPPED:
                return self.failed("EXECUTOR_STOPPED", "The run was stopped with its process.")
            case Bound.DEADLINE:
                return self.failed("DEADLINE_EXCEEDED", "The run took longer than it may.")
            case Bound.LEASE:
                error = MayNotActError()
                return self.failed(error.error_type, str(error))
            case _:
                assert_never(bound)

    def of(self, consuming: asyncio.Task[None]) -> Outcome:
        """
        Return the outcome of an engine that has ended.

        Raises:
            FencedError: The run is somebody else's.
        """
        # An engine that is cancelled from within has failed: nobody here has asked for it.
        error = (
            EngineError("The agent broke off.") if consuming.cancelled() else consuming.exception()
        )
        match error:
            case None:
                return self._ended()
            case FencedError():
                raise error
            case CancelRequested():
                return self.cancelled()
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
        """Return the outcome of a run that cannot go on; the log alone says what led to it."""
        if error_type == "INTERNAL_ERROR":
            log.error("run failed", exc_info=cause, extra=self._extra())
        else:
            log.warning("run failed: %s", error_type, exc_info=cause, extra=self._extra())
        return Failed(error_type=error_type, error_message=message, **self._narration.ending())

    def unforeseen(self) -> Failed:
        """Return the outcome of a run whose own end cannot be told: of plain values only."""
        return Failed(
            error_type="INTERNAL_ERROR",
            error_message=_INTERNAL,
            output=self._narration.output,
            metrics=Metrics(),
            last_event_id=self._narration.last_id + 2,
        )

    def cancelled(self) -> CancelledByRequest:
        """Return the outcome of a run whose end was asked for."""
        reason = "The run was cancelled on request."
        return CancelledByRequest(reason=reason, **self._narration.ending())

    def _extra(self) -> dict[str, str]:
        return {"runId": self._turn.run.id}

    def _ended(self) -> Outcome:
        result = self._narration.result
        if isinstance(result, TurnPaused):
            return self._paused(result.pending, result.state)
        followups = result.followups if result else None
        messages = result.messages if result else None
        return Completed(followups=followups, messages=messages, **self._narration.ending())

    def _paused_again(self) -> Outcome:
        action, resumption = self._turn.run.required_action, self._turn.task.resumption
        if action is None or resumption is None:
            return self.failed("CANNOT_RESUME", "The run cannot be continued.")
        return self._paused(action.approvals, resumption.state)

    def _paused(self, pending: tuple[PendingApproval, ...], state: str) -> PausedForApproval:
        ending = self._narration.ending()
        action = Paused(
            approval_id=approval_id(self._turn.run.id, ending["last_event_id"]), approvals=pending
        )
        checkpoint = Checkpoint(
            request=self._turn.request.model_copy(update={"media": ()}),
            state=state,
            media=self._turn.task.media,
            output=ending["output"],
            metrics=ending["metrics"],
        )
        return PausedForApproval(
            required_action=action,
            checkpoint=checkpoint,
            paused_until=self._turn.ports.runs.clock.now() + self._turn.ports.approval_expiry,
            **ending,
        )
