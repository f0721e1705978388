"""What a paused run waits for, and what is decided of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from agentrun_client.models.json_value import JsonValue

PauseType: TypeAlias = Literal["TOOL_APPROVAL", "TOOL_IN_DOUBT", "BUDGET"]
Action: TypeAlias = Literal["APPROVE", "REJECT"]


class _Absent(Enum):
    """Told apart from null, which is a result too."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        """Say that there is none."""
        return "ABSENT"


ABSENT: Final = _Absent.ABSENT


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A tool call that waits for a decision; `arguments` are any JSON, usually an object."""

    id: str
    tool: str
    tool_name: str
    arguments: JsonValue


@dataclass(frozen=True, slots=True)
class RequiredAction:
    """What a PAUSED run waits for; without `approvals` where its budget is spent."""

    type: PauseType
    approval_id: str
    approvals: tuple[PendingCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision for everything that a run waits for; `approve()` and `reject()` make it."""

    action: Action
    reason: str | None = None

    def as_body(self) -> dict[str, JsonValue]:
        """Return it as the API takes it."""
        return _without_none({"action": self.action, "reason": self.reason})


def approve() -> Verdict:
    """Approve everything that a run waits for."""
    return Verdict("APPROVE")


def reject(reason: str | None = None) -> Verdict:
    """Reject everything that a run waits for; the model is told the reason."""
    return Verdict("REJECT", reason)


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What is decided of one tool call.

    Attributes:
        id: The call's, one of the pause's `approvals`.
        action: What is decided.
        reason: What the model is told of a rejection.
        arguments: In place of those that the model has chosen; of an approved call only.
        result: Of a tool in doubt: what it gave, any JSON, None too. It is not run again then.
    """

    id: str
    action: Action
    reason: str | None = None
    arguments: dict[str, JsonValue] | None = None
    result: JsonValue | Literal[_Absent.ABSENT] = ABSENT

    def as_body(self) -> dict[str, JsonValue]:
        """Return it as the API takes it."""
        body = _without_none(
            {
                "id": self.id,
                "action": self.action,
                "reason": self.reason,
                "arguments": self.arguments,
            }
        )
        if self.result is not ABSENT:
            body["result"] = self.result
        return body


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend from now on, in all; a limit that is None stays as it was."""

    max_cost_usd: float | None = None
    max_total_tokens: int | None = None

    def as_body(self) -> dict[str, JsonValue]:
        """Return it as the API takes it."""
        return _without_none(
            {"maxCostUsd": self.max_cost_usd, "maxTotalTokens": self.max_total_tokens}
        )


Decisions: TypeAlias = Verdict | Sequence[Decision]
"""One decision for all pending calls, or one for each of them."""


def _without_none(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in body.items() if value is not None}
