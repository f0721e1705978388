"""A paused turn with its decisions: checked before anything is done, then gone on with."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic_ai import DeferredToolResults, Tool, ToolDenied
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    ModelMessage,
    ModelResponse,
    ToolCallPart,
)

from agent_catalog.arguments import argument_faults
from agent_catalog.pause import PendingCall, fingerprint, read_pause
from agent_catalog.prompt import user_prompt
from agent_catalog.session import Session
from agent_catalog.spending import Spent
from agent_catalog.turn_messages import with_prompt
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.ports import AgentTask


@dataclass(frozen=True)
class TakenUp:
    """
    A turn to go on with.

    In `messages` the calls already have the arguments that were decided: the model is to see what
    is done, not what it had asked for.
    """

    messages: list[ModelMessage]
    results: DeferredToolResults
    spent: Spent

    @property
    def approved(self) -> Collection[str]:
        """The ids of the calls that may run."""
        return {call_id for call_id, result in self.results.approvals.items() if result is True}


def take_up(task: AgentTask, tools: Mapping[str, Tool[Session]]) -> TakenUp | None:
    """
    Read a paused turn and what was decided, and check that it can go on; None for a new turn.

    Args:
        task: The task; its media go back into the prompt.
        tools: The agent's own tools by name; an MCP server checks the arguments of its tools.

    Raises:
        CannotResumeError: The state cannot be read, the decisions are for other calls, or a call is
            not what was approved or does not fit its tool any more.
    """
    if task.resumption is None:
        return None
    paused, messages = read_pause(task.resumption.state)
    decisions = {decision.id: decision for decision in task.resumption.decisions}
    if decisions.keys() != {call.id for call in paused.pending}:
        raise CannotResumeError("The decisions are not for the calls that wait.")
    calls = _latest_calls(messages)
    for pending in paused.pending:
        call = _checked(pending, calls, {tool.name for tool in task.agent.tools})
        _check_arguments(call, decisions[call.tool_call_id], tools.get(call.tool_name))
    if task.media:
        messages = with_prompt(messages, user_prompt(task))
    return TakenUp(
        messages=_with_arguments(messages, decisions),
        results=DeferredToolResults(
            approvals={call_id: _result(decision) for call_id, decision in decisions.items()}
        ),
        spent=paused.spent,
    )


async def all_fit_first(
    events: AsyncIterator[AgentStreamEvent], calls: int
) -> AsyncGenerator[AgentStreamEvent, None]:
    """
    Pass events on once as many calls are announced, which is before any of them is made.

    Raises:
        CannotResumeError: One of them does not fit, or its tool is not there: an MCP server that
            cannot be reached has no tools.
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
    """Give the calls of the last answer: those of earlier ones have their results."""
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
