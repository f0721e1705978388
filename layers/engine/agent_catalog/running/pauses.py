"""Turns that wait for decisions, as they are written down and read again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_ai.messages import ModelMessage, ToolCallPart, UserPromptPart
from pydantic_ai.usage import RunUsage, UsageLimits
from pydantic_core import from_json, to_json

from agent_catalog.agent_file import Limits
from agent_catalog.json_form import to_json_value
from agent_catalog.models.sendable import without_media
from agent_catalog.running.history import dumped, loaded, with_prompt
from agentrun.domain.approvals import Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import PauseType, PendingApproval
from agentrun.domain.turns import TurnPaused

_VERSION = 2


class Spent(BaseModel):
    """What counts towards the limits; a turn hands it on to its continuation."""

    model_config = ConfigDict(defer_build=True)

    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None

    def plus(self, usage: RunUsage) -> "Spent":
        """Return the sum with what was used since."""
        costs = [cost for cost in (self.cost, usage.cost) if cost is not None]
        return Spent(
            requests=self.requests + usage.requests,
            tool_calls=self.tool_calls + usage.tool_calls,
            input_tokens=self.input_tokens + usage.input_tokens,
            output_tokens=self.output_tokens + usage.output_tokens,
            cost=sum(costs, Decimal(0)) if costs else None,
        )


def remaining_limits(limits: Limits, spent: Spent) -> UsageLimits:
    """Return what the limits leave of a turn that goes on; the budget is its host's affair."""
    return UsageLimits(
        request_limit=limits.request_limit - spent.requests,
        tool_calls_limit=_minus(limits.tool_calls_limit, spent.tool_calls),
        input_tokens_limit=_minus(limits.input_tokens_limit, spent.input_tokens),
        output_tokens_limit=_minus(limits.output_tokens_limit, spent.output_tokens),
    )


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else limit - spent


@dataclass(frozen=True)
class Decided:
    """A decision of a call without a result; `in_doubt` says that the call may have run before."""

    decision: Decision
    in_doubt: bool = False


class _DecidedCall(BaseModel):
    """
    A decision as it is written down.

    Only its fields that were set are kept: a result that is null differs from none.
    """

    model_config = ConfigDict(defer_build=True)

    decision: dict[str, JsonValue]
    in_doubt: bool

    @classmethod
    def of(cls, decided: Decided) -> "_DecidedCall":
        fields = decided.decision.model_dump(mode="json", exclude_unset=True)
        return cls(decision=fields, in_doubt=decided.in_doubt)

    def read(self) -> Decided:
        return Decided(Decision.model_validate(self.decision), self.in_doubt)


class PendingCall(BaseModel):
    """A call that waits; the fingerprint is of what the user was shown."""

    model_config = ConfigDict(defer_build=True)

    id: str
    tool: str
    fingerprint: str


class PausedRun(BaseModel):
    """
    The messages so far, with the results of finished tools, and the calls that wait.

    `decided` are earlier decisions of calls that have no result yet. The first version knew neither
    them nor another type of pause.
    """

    # Built late: every cold start imports this, and few runs pause.
    model_config = ConfigDict(defer_build=True)

    version: Literal[1, 2]
    type: PauseType = PauseType.TOOL_APPROVAL
    messages: list[JsonValue]
    pending: list[PendingCall]
    decided: list[_DecidedCall] = []
    spent: Spent

    def model_messages(self) -> list[ModelMessage]:
        """Return the messages, or raise ValueError."""
        return loaded(to_json(self.messages))

    def decisions(self) -> dict[str, Decided]:
        """Return the earlier decisions by the ids of their calls."""
        read = (call.read() for call in self.decided)
        return {decided.decision.id: decided for decided in read}


def pause(
    messages: Sequence[ModelMessage],
    spent: Spent,
    *,
    kind: PauseType = PauseType.TOOL_APPROVAL,
    pending: Sequence[ToolCallPart] = (),
    decided: Mapping[str, Decided] | None = None,
) -> TurnPaused:
    """
    Write down a turn that cannot go on without decisions.

    Args:
        messages: The turn's, from the user's message on.
        spent: What it has used, earlier parts included.
        kind: What it waits for.
        pending: The calls that have to be decided.
        decided: Earlier decisions of other calls of the last answer that have no result yet.
    """
    first = messages[0].parts[0]
    if isinstance(first, UserPromptPart):
        # The media are stored with the request.
        messages = with_prompt(messages, without_media(first.content))
    state = PausedRun(
        version=_VERSION,
        type=kind,
        messages=from_json(dumped(messages)),
        pending=[
            PendingCall(id=call.tool_call_id, tool=call.tool_name, fingerprint=fingerprint(call))
            for call in pending
        ],
        decided=[_DecidedCall.of(call) for call in (decided or {}).values()],
        spent=spent,
    )
    shown = tuple(map(_shown, pending))
    return TurnPaused(type=kind, pending=shown, state=state.model_dump_json())


def _shown(call: ToolCallPart) -> PendingApproval:
    return PendingApproval(
        id=call.tool_call_id,
        tool=call.tool_name,
        tool_name=call.tool_name,
        arguments=to_json_value(call.args_as_dict()),
    )


def read_pause(state: str) -> tuple[PausedRun, list[ModelMessage]]:
    """
    Read a turn that was written down.

    Raises:
        CannotResumeError: It has another version, or cannot be read.
    """
    try:
        paused = PausedRun.model_validate_json(state)
        messages = paused.model_messages()
        paused.decisions()
    except ValueError as error:
        raise CannotResumeError("The pause is recorded in a form that is not known.") from error
    if not messages:
        raise CannotResumeError("The pause is recorded without its messages.")
    return paused, messages


def fingerprint(call: ToolCallPart) -> str:
    """Return a hash of a call's tool and arguments."""
    shown = json.dumps([call.tool_name, to_json_value(call.args_as_dict())], sort_keys=True)
    return sha256(shown.encode()).hexdigest()
