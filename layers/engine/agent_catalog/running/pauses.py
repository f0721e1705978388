"""Turns that wait for decisions: written down, checked, and continued."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_ai import DeferredToolRequests, DeferredToolResults, Tool, ToolDenied
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    ModelMessage,
    ModelResponse,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.usage import RunUsage
from pydantic_core import from_json, to_json

from agent_catalog.binding.tool import argument_faults
from agent_catalog.json_form import to_json_value
from agent_catalog.models.sendable import without_media
from agent_catalog.running.history import dumped, loaded, user_prompt, with_prompt
from agent_catalog.toolkit import Session
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import PendingApproval
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import Resumption, TurnPaused

_VERSION = 1


class Spent(BaseModel):
    """What counts towards the limits; a paused turn hands it on to its continuation."""

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


class PendingCall(BaseModel):
    """A call that waits; the fingerprint is of what the user was shown."""

    model_config = ConfigDict(defer_build=True)

    id: str
    tool: str
    fingerprint: str


class PausedRun(BaseModel):
    """The messages so far, with the results of finished tools, and the calls that wait."""

    # Built late: every cold start imports this, and few runs pause.
    model_config = ConfigDict(defer_build=True)

    version: Literal[1]
    messages: list[JsonValue]
    pending: list[PendingCall]
    spent: Spent

    def model_messages(self) -> list[ModelMessage]:
        """Return the messages, or raise ValueError."""
        return loaded(to_json(self.messages))


def pause(
    requests: DeferredToolRequests, messages: Sequence[ModelMessage], spent: Spent
) -> TurnPaused:
    """Write down a turn that cannot go on without decisions."""
    first = messages[0].parts[0]
    if isinstance(first, UserPromptPart):
        # The media are stored with the request.
        messages = with_prompt(messages, without_media(first.content))
    state = PausedRun(
        version=_VERSION,
        messages=from_json(dumped(messages)),
        pending=[
            PendingCall(id=call.tool_call_id, tool=call.tool_name, fingerprint=fingerprint(call))
            for call in requests.approvals
        ],
        spent=spent,
    )
    return TurnPaused(
        pending=tuple(
            PendingApproval(
                id=call.tool_call_id,
                tool=call.tool_name,
                tool_name=call.tool_name,
                arguments=to_json_value(call.args_as_dict()),
            )
            for call in requests.approvals
        ),
        state=state.model_dump_json(),
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
    except ValueError as error:
        raise CannotResumeError("The pause is recorded in a form that is not known.") from error
    if not messages:
        raise CannotResumeError("The pause is recorded without its messages.")
    return paused, messages


def fingerprint(call: ToolCallPart) -> str:
    """Return a hash of a call's tool and arguments."""
    shown = json.dumps([call.tool_name, to_json_value(call.args_as_dict())], sort_keys=True)
    return sha256(shown.encode()).hexdigest()


@dataclass(frozen=True)
class ResumedRun:
    """
    What a paused turn is continued with.

    In `messages`, calls have the arguments that were decided: the model is shown what is done, not
    what it asked for.
    """

    messages: list[ModelMessage]
    results: DeferredToolResults
    spent: Spent

    @property
    def approved(self) -> Collection[str]:
        """The ids of the calls that may run."""
        return {call_id for call_id, result in self.results.approvals.items() if result is True}


def resume(
    task: AgentTask, resumption: Resumption, tools: Mapping[str, Tool[Session]]
) -> ResumedRun:
    """
    Read a paused turn with its decisions, and check that it can go on.

    Args:
        task: The task, whose media go back into the prompt.
        resumption: The paused turn and its decisions.
        tools: The agent's own tools by name; MCP servers check the arguments of theirs.

    Raises:
        CannotResumeError: The state cannot be read, the decisions are for other calls, or a call is
            not the one that was shown or no longer fits its tool.
    """
    paused, messages = read_pause(resumption.state)
    decisions = {decision.id: decision for decision in resumption.decisions}
    if decisions.keys() != {call.id for call in paused.pending}:
        raise CannotResumeError("The decisions are not for the calls that wait.")
    calls = _latest_calls(messages)
    for pending in paused.pending:
        call = _checked(pending, calls, {tool.name for tool in task.agent.tools})
        _check_arguments(call, decisions[call.tool_call_id], tools.get(call.tool_name))
    if task.media:
        messages = with_prompt(messages, user_prompt(task))
    return ResumedRun(
        messages=_with_arguments(messages, decisions),
        results=DeferredToolResults(
            approvals={call_id: _result(decision) for call_id, decision in decisions.items()}
        ),
        spent=paused.spent,
    )


async def check_all_calls(
    events: AsyncIterator[AgentStreamEvent], calls: int
) -> AsyncGenerator[AgentStreamEvent, None]:
    """
    Pass on events once this many calls are announced, which is before any of them is made.

    Raises:
        CannotResumeError: A call does not fit, or its tool is absent, as all tools of an MCP server
            that cannot be reached are.
    """
    announced: list[AgentStreamEvent] = []
    while calls and (event := await anext(events, None)):
        announced.append(event)
        if isinstance(event, FunctionToolCallEvent):
            calls -= 1
            if event.args_valid is False:
                raise CannotResumeError(
                    f"The tool '{event.part.tool_name}' cannot be called at the moment."
                )
    for event in announced:
        yield event
    async for event in events:
        yield event


def _latest_calls(messages: Sequence[ModelMessage]) -> dict[str, ToolCallPart]:
    """Return the calls of the last answer; earlier ones have their results."""
    responses = [message for message in messages if isinstance(message, ModelResponse)]
    return {call.tool_call_id: call for call in responses[-1].tool_calls} if responses else {}


def _checked(
    pending: PendingCall, calls: Mapping[str, ToolCallPart], tools: Collection[str]
) -> ToolCallPart:
    call = calls.get(pending.id)
    if call is None or fingerprint(call) != pending.fingerprint:
        raise CannotResumeError(f"The call of '{pending.tool}' is not the one that was shown.")
    if call.tool_name not in tools:
        raise CannotResumeError(f"The agent no longer has the tool '{call.tool_name}'.")
    return call


def _check_arguments(call: ToolCallPart, decision: Decision, tool: Tool[Session] | None) -> None:
    if tool is None or decision.action is ApprovalAction.REJECT:
        return
    arguments = call.args_as_dict() if decision.arguments is None else decision.arguments
    faults = argument_faults(tool, arguments)
    if faults:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in faults)
        raise CannotResumeError(f"The arguments do not fit '{call.tool_name}': {reasons}.")


def _result(decision: Decision) -> Literal[True] | ToolDenied:
    if decision.action is ApprovalAction.APPROVE:
        return True
    return ToolDenied(f"The call was rejected: {decision.reason or 'no reason was given.'}")


def _with_arguments(
    messages: Sequence[ModelMessage], decisions: Mapping[str, Decision]
) -> list[ModelMessage]:
    """Put the decided arguments into the calls of the last answer."""
    changed: dict[str, Any] = {
        call_id: decision.arguments
        for call_id, decision in decisions.items()
        if decision.arguments is not None
    }
    result = list(messages)
    for index in reversed(range(len(result))):
        message = result[index]
        if isinstance(message, ModelResponse):
            parts = [
                replace(part, args=changed[part.tool_call_id])
                if isinstance(part, ToolCallPart) and part.tool_call_id in changed
                else part
                for part in message.parts
            ]
            result[index] = replace(message, parts=parts)
            break
    return result
