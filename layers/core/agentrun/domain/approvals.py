"""Tool calls that wait for a human, and what the human decides."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from agentrun.domain.errors import ApprovalNotFoundError, InvalidRequestError
from agentrun.domain.events import PendingApproval
from agentrun.domain.requests import Budget
from agentrun.domain.value import Value

MAX_REASON_CHARACTERS = 2_000
Reason = Annotated[
    str | None,
    Field(max_length=MAX_REASON_CHARACTERS, description="What the model is told of a rejection."),
]
_APPROVAL_ID = re.compile(r"(?P<run_id>[A-Za-z0-9_-]{1,64})\.(?P<event_id>[0-9]{1,12})", re.ASCII)


class ApprovalAction(StrEnum):
    """What may be decided of a tool call."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"


class Decision(Value):
    """What is decided of one tool call."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "not": {
                "properties": {"action": {"const": "REJECT"}, "arguments": {"type": "object"}},
                "required": ["action", "arguments"],
            }
        },
    )

    id: str = Field(min_length=1, max_length=256, description="One of the pause's `approvals`.")
    action: ApprovalAction
    reason: Reason = None
    arguments: dict[str, JsonValue] | None = Field(
        default=None,
        description="In place of those that the model has chosen; of an approved call only.",
    )

    result: JsonValue = Field(
        default=None,
        description="Of a tool in doubt: what it gave. It is not run again, whatever the action.",
    )

    @property
    def has_result(self) -> bool:
        """Whether the decision says what the tool gave; null is a result, too."""
        return "result" in self.model_fields_set

    @model_validator(mode="after")
    def _only_what_runs_has_arguments(self) -> Self:
        if self.action is ApprovalAction.REJECT and self.arguments is not None:
            raise ValueError("must have no arguments, for the call is rejected")
        return self


class ContinueRequest(Value):
    """Exactly one of `action`, for all pending calls, and `decisions`, one each."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "oneOf": [
                {"properties": {"action": {"type": "string"}}, "required": ["action"]},
                {"properties": {"decisions": {"type": "array"}}, "required": ["decisions"]},
            ]
        },
    )

    action: ApprovalAction | None = Field(default=None, description="Decides all pending calls.")
    reason: Reason = None
    decisions: (
        Annotated[tuple[Decision, ...], Field(min_length=1, max_length=100, fail_fast=True)] | None
    ) = Field(default=None, description="Each pending call once.")
    budget: Budget | None = Field(
        default=None, description="What a run may spend in all that waits because it has spent it."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.action is None) == (self.decisions is None):
            raise ValueError("must have exactly one of action and decisions")
        return self

    def decide(self, pending: Sequence[PendingApproval]) -> tuple[Decision, ...]:
        """
        Return one decision for each pending call, in their order.

        Raises:
            InvalidRequestError: A call is not decided, decided twice, or not pending.
        """
        if self.decisions is None:
            assert self.action is not None  # noqa: S101 - as validated above
            return tuple(
                Decision(id=call.id, action=self.action, reason=self.reason) for call in pending
            )
        decided = {decision.id: decision for decision in self.decisions}
        waiting = [call.id for call in pending]
        if len(decided) != len(self.decisions) or set(decided) != set(waiting):
            raise InvalidRequestError(
                f"Each pending call needs one decision; pending are {', '.join(waiting)}.",
                params=[("decisions", f"must decide {', '.join(waiting)}, each once")],
            )
        return tuple(decided[call_id] for call_id in waiting)


class ResolveRequest(Value):
    """The decision on all of an approval's calls."""

    model_config = ConfigDict(extra="ignore")

    decision: Literal["APPROVED", "REJECTED"]
    reason: Reason = None

    def as_continue(self) -> ContinueRequest:
        """Return the same decision as a request to continue."""
        approved = self.decision == "APPROVED"
        action = ApprovalAction.APPROVE if approved else ApprovalAction.REJECT
        return ContinueRequest(action=action, reason=self.reason)


def approval_id(run_id: str, paused_event_id: int) -> str:
    """Return the id of one pause of a run; it contains the run's id."""
    return f"{run_id}.{paused_event_id}"


def run_of_approval(wanted: str) -> tuple[str, int]:
    """
    Return the run's id and the id of its PAUSED event.

    Raises:
        ApprovalNotFoundError: It is not an approval's id.
    """
    match = _APPROVAL_ID.fullmatch(wanted)
    if match is None:
        raise ApprovalNotFoundError(wanted[:100])
    return match["run_id"], int(match["event_id"])
