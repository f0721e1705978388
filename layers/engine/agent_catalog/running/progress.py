"""How far a turn has come that goes on after a pause, or after the loss of its executor."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pydantic_ai import DeferredToolResults, Tool, ToolDenied, ToolFailed
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturn,
    ToolReturnPart,
    UserPromptPart,
)

from agent_catalog.binding.tool import argument_faults, bounded
from agent_catalog.running.history import user_prompt, with_prompt
from agent_catalog.running.pauses import (
    Decided,
    PausedRun,
    PendingCall,
    Spent,
    fingerprint,
    pause,
    read_pause,
)
from agent_catalog.running.steps import (
    doubted_calls,
    open_calls,
    succeeded,
    with_steps,
)
from agent_catalog.toolkit import Session
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import PauseType
from agentrun.domain.ports import AgentTask
from agentrun.domain.steps import Answered, Continued
from agentrun.domain.turns import Resumption, TurnPaused

_UNKNOWN = "Nobody knows whether this call has run: what executed it was lost. It is not run again."
_Tools = Mapping[str, Tool[Session]]


@dataclass(frozen=True)
class Progress:
    """
    The messages of a turn so far, and what becomes of the calls that have no result yet.

    In `messages`, calls have the arguments that were decided: the model is shown what is done, not
    what it asked for. `open` are the calls without a result, `decided` what is decided of them,
    `doubted` the ids of those that may have run, and of which nobody has decided. `may_refuse` says
    whether the turn may still wait for another decision because a call has become impossible.
    """

    messages: list[ModelMessage]
    spent: Spent
    open: tuple[ToolCallPart, ...]
    decided: Mapping[str, Decided]
    doubted: frozenset[str]
    needing_approval: frozenset[str]
    may_refuse: bool

    @property
    def approved(self) -> Collection[str]:
        """The ids of the calls that run because somebody has said so."""
        return {call_id for call_id, decided in self.decided.items() if _runs(decided)}

    @property
    def settled(self) -> Collection[str]:
        """The ids of the calls that do not run, since it is decided what came of them."""
        return self.decided.keys() - self.approved

    @property
    def held(self) -> frozenset[str]:
        """The ids of the calls that still have to be approved."""
        return frozenset(
            call.tool_call_id
            for call in self.open
            if call.tool_name in self.needing_approval and call.tool_call_id not in self.decided
        )

    @property
    def results(self) -> DeferredToolResults | None:
        """What the open calls are to be answered with; None if there are none."""
        if not self.open:
            return None
        results = DeferredToolResults()
        for call in self.open:
            decided = self.decided.get(call.tool_call_id)
            if decided is None or _runs(decided):
                results.approvals[call.tool_call_id] = True
            elif decided.in_doubt:
                results.calls[call.tool_call_id] = _answer(decided.decision)
            else:
                reason = decided.decision.reason or "no reason was given."
                denied = ToolDenied(f"The call was rejected: {reason}")
                results.approvals[call.tool_call_id] = denied
        return results

    @property
    def messages_with_given(self) -> list[ModelMessage]:
        """The messages with the results that somebody has given in place of running a tool."""
        given = [
            ToolReturnPart(call.tool_name, decided.decision.result, call.tool_call_id)
            for call in self.open
            if (decided := self.decided.get(call.tool_call_id)) and _has_result(decided)
        ]
        return [*self.messages, ModelRequest(parts=given)] if given else self.messages

    def in_doubt(self) -> TurnPaused | None:
        """Return the pause of a turn of which nobody knows whether its tools have run."""
        if not self.doubted:
            return None
        return pause(
            self.messages,
            self.spent,
            kind=PauseType.TOOL_IN_DOUBT,
            pending=[call for call in self.open if call.tool_call_id in self.doubted],
            decided={
                call_id: decided
                for call_id, decided in self.decided.items()
                if call_id not in self.doubted
            },
        )


def _runs(decided: Decided) -> bool:
    return decided.decision.action is ApprovalAction.APPROVE and not _has_result(decided)


def _has_result(decided: Decided) -> bool:
    return decided.in_doubt and decided.decision.has_result


def _answer(decision: Decision) -> ToolReturn[Any] | ToolFailed:
    """Return what the model sees of a call in doubt that is not run again."""
    if decision.has_result:
        return ToolReturn(return_value=bounded(decision.result))
    return ToolFailed(f"{_UNKNOWN} {decision.reason}" if decision.reason else _UNKNOWN)


def progress_of(task: AgentTask, tools: _Tools) -> Progress | None:
    """
    Return how far a turn has come; None if it has only begun.

    Args:
        task: The task, whose media go back into the prompt.
        tools: The agent's own tools by name; MCP servers check the arguments of theirs.

    Raises:
        CannotResumeError: The state cannot be read, the decisions are for other calls, or a call is
            not the one that was shown or no longer fits its tool.
        EngineError: A step cannot be read.
    """
    if task.resumption is None and not task.steps:
        return None
    # A continuation that has done something is no longer taken back.
    may_refuse = all(isinstance(step.content, Continued) for step in task.steps)
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(user_prompt(task))])]
    spent, decided = Spent(), dict[str, Decided]()
    if task.resumption is not None:
        paused, messages = read_pause(task.resumption.state)
        spent, decided = paused.spent, _decisions(paused, task.resumption)
        if may_refuse:
            _check(task, paused, messages, decided, tools)
        if task.media:
            messages = with_prompt(messages, user_prompt(task))
        messages = _with_arguments(messages, decided)
    messages = with_steps(messages, task.steps)
    open_now = open_calls(messages)
    ids = {call.tool_call_id for call in open_now}
    doubted = frozenset(doubted_calls(task.steps) & ids)
    return Progress(
        messages=messages,
        spent=_spent(task, spent),
        open=tuple(open_now),
        decided={call_id: decided[call_id] for call_id in ids & decided.keys()},
        doubted=doubted,
        needing_approval=frozenset(t.name for t in task.agent.tools if t.requires_approval),
        may_refuse=may_refuse and task.resumption is not None,
    )


def _decisions(paused: PausedRun, resumption: Resumption) -> dict[str, Decided]:
    decisions = {decision.id: decision for decision in resumption.decisions}
    if decisions.keys() != {call.id for call in paused.pending}:
        raise CannotResumeError("The decisions are not for the calls that wait.")
    in_doubt = paused.type is PauseType.TOOL_IN_DOUBT
    return paused.decisions() | {
        call_id: Decided(decision, in_doubt) for call_id, decision in decisions.items()
    }


def _check(
    task: AgentTask,
    paused: PausedRun,
    messages: Sequence[ModelMessage],
    decided: Mapping[str, Decided],
    tools: _Tools,
) -> None:
    calls = {call.tool_call_id: call for call in open_calls(messages)}
    for pending in paused.pending:
        call = calls.get(pending.id)
        if call is None or fingerprint(call) != pending.fingerprint:
            raise CannotResumeError(f"The call of '{pending.tool}' is not the one that was shown.")
        _check_fits(call, pending, decided[pending.id], task, tools.get(call.tool_name))


def _check_fits(
    call: ToolCallPart,
    pending: PendingCall,
    decided: Decided,
    task: AgentTask,
    tool: Tool[Session] | None,
) -> None:
    if decided.in_doubt and not _runs(decided):
        return
    if call.tool_name not in {tool.name for tool in task.agent.tools}:
        raise CannotResumeError(f"The agent no longer has the tool '{pending.tool}'.")
    if tool is None or not _runs(decided):
        return
    given = decided.decision.arguments
    faults = argument_faults(tool, call.args_as_dict() if given is None else given)
    if faults:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in faults)
        raise CannotResumeError(f"The arguments do not fit '{call.tool_name}': {reasons}.")


def _with_arguments(
    messages: Sequence[ModelMessage], decided: Mapping[str, Decided]
) -> list[ModelMessage]:
    """Put the decided arguments into the calls of the last answer."""
    changed: dict[str, Any] = {
        call_id: call.decision.arguments
        for call_id, call in decided.items()
        if call.decision.arguments is not None
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


def _spent(task: AgentTask, before: Spent) -> Spent:
    """Return what the turn has used by its last step, whose figures are those of the whole run."""
    if not task.steps:
        return before
    figures = task.steps[-1].metrics
    answers = sum(isinstance(step.content, Answered) for step in task.steps)
    cost = figures.cost_usd
    return Spent(
        requests=figures.llm_calls or before.requests + answers,
        tool_calls=before.tool_calls + succeeded(task.steps),
        input_tokens=figures.input_tokens or before.input_tokens,
        output_tokens=figures.output_tokens or before.output_tokens,
        cost=before.cost if cost is None else Decimal(str(cost)),
    )


async def check_all_calls(
    events: AsyncIterator[AgentStreamEvent], calls: int, approved: Collection[str]
) -> AsyncGenerator[AgentStreamEvent, None]:
    """
    Pass on events once this many calls are announced, which is before any of them is made.

    Raises:
        CannotResumeError: An approved call does not fit, or its tool is absent, as all tools of an
            MCP server that cannot be reached are.
    """
    announced: list[AgentStreamEvent] = []
    while calls and (event := await anext(events, None)):
        announced.append(event)
        if isinstance(event, FunctionToolCallEvent):
            calls -= 1
            if event.args_valid is False and event.part.tool_call_id in approved:
                raise CannotResumeError(
                    f"The tool '{event.part.tool_name}' cannot be called at the moment."
                )
    for event in announced:
        yield event
    async for event in events:
        yield event
