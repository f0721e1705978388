"""How a paused run is continued, once, though answers may get lost."""

from http import HTTPStatus
from typing import Literal

from agentrun_client.errors import ConflictError, Problem
from agentrun_client.events import Paused, RunEvent
from agentrun_client.models.actions import Budget, Decisions
from agentrun_client.models.runs import Run
from agentrun_client.wire import run_calls
from agentrun_client.wire.answer import Answer, unreadable
from agentrun_client.wire.call import Call
from agentrun_client.wire.reading import UnreadableError, read_as, read_json

_PERHAPS_DONE = frozenset({500, 502, 503, 504})


class ResumingOpening:
    """
    Looks which pause the run is in, sends the decision, and looks again before it sends it again.

    A decision without names of calls would decide the run's next pause as well, and nobody has seen
    that. So after a lost answer it is repeated only if the run still is in the same pause; if it is
    not, the decision has arrived, and what followed is read from the run's events.
    """

    def __init__(
        self, agent: str, run_id: str, decisions: Decisions, budget: Budget | None
    ) -> None:
        """Take the decision."""
        self.run_id: str | None = run_id
        self._look = run_calls.get(run_id)
        self._send = run_calls.resume(agent, run_id, decisions, budget)
        self._attach = run_calls.attach(agent, run_id, 0)
        self._stage: Literal["look", "send", "attach"] = "look"
        self._approval_id: str | None = None
        self._was_lost = False
        self._is_past_pause = False

    def call(self) -> Call[object]:
        """Return what to send next."""
        calls: dict[str, Call[object]] = {
            "look": self._look,
            "send": self._send,
            "attach": self._attach,
        }
        return calls[self._stage]

    def takes(self, answer: Answer) -> bool:
        """Take what a look shows; and that somebody has decided, if that was this decision."""
        if self._stage == "look" and not answer.is_error:
            self._see(_run_of(answer))
            return True
        if self._stage == "send" and answer.status in _PERHAPS_DONE:
            self.lost()
        if self._stage == "send" and answer.status == HTTPStatus.CONFLICT and self._was_lost:
            self._stage = "attach"
            return True
        return False

    def _see(self, run: Run) -> None:
        action = run.required_action if run.status == "PAUSED" else None
        if self._approval_id is None:
            if action is None:
                raise _not_paused(run)
            self._approval_id = action.approval_id
        is_same = action is not None and action.approval_id == self._approval_id
        self._stage = "send" if is_same else "attach"

    def lost(self) -> None:
        """Look again before the decision is repeated."""
        if self._stage == "send":
            self._stage, self._was_lost = "look", True

    def skips(self, event: RunEvent) -> bool:
        """Skip what a replay says up to the pause that was decided."""
        if self._stage != "attach" or self._is_past_pause:
            return False
        if isinstance(event, Paused):
            self._is_past_pause = event.required_action.approval_id == self._approval_id
        return True


def _run_of(answer: Answer) -> Run:
    try:
        return read_as(Run, read_json(answer.body))
    except UnreadableError as error:
        raise unreadable(answer, str(error)) from None


def _not_paused(run: Run) -> ConflictError:
    detail = f"The run {run.id} is {run.status}, so there is nothing to decide."
    return ConflictError(Problem(409, "urn:problem-type:conflict", "The run is not paused", detail))
