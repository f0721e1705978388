"""A turn's steps: what is kept of answers and results, and the messages that they make up."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic_ai.messages import (
    FunctionToolResultEvent,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from agent_catalog.running.history import dumped, loaded
from agentrun.domain.agents import Agent, Replay
from agentrun.domain.errors import EngineError
from agentrun.domain.steps import Answered, Began, Continued, Returned, Step


def answered(response: ModelResponse, acting: tuple[str, ...]) -> Answered:
    """Return the step that keeps an answer."""
    return Answered(message=dumped([response]).decode(), acting=acting)


def returned(event: FunctionToolResultEvent) -> Returned:
    """Return the step that keeps a tool's result, with what the model is shown besides."""
    parts: list[ModelRequestPart] = [event.part]
    if event.content:
        parts.append(UserPromptPart(event.content))
    part = dumped([ModelRequest(parts=parts)]).decode()
    return Returned(call_id=event.part.tool_call_id, part=part)


def acting_calls(
    calls: Iterable[ToolCallPart],
    agent: Agent,
    *,
    has_others: bool,
    approved: Collection[str] = (),
) -> tuple[str, ...]:
    """
    Return the ids of the calls that act at once, and must not act twice.

    Args:
        calls: Calls of one answer.
        agent: The agent, whose tools say so.
        has_others: Whether the agent has capabilities, whose tools it does not name.
        approved: The ids of the calls that need not wait for an approval any more.
    """
    tools = {tool.name: tool for tool in agent.tools}

    def acts(call: ToolCallPart) -> bool:
        tool = tools.get(call.tool_name)
        if tool is None:
            # A model may call what does not exist. pydantic-ai's own tools have a kind, and only
            # look something up.
            return has_others and call.tool_kind is None
        may_begin = not tool.requires_approval or call.tool_call_id in approved
        return tool.replay is Replay.NEVER and may_begin

    return tuple(call.tool_call_id for call in calls if acts(call))


def doubted_calls(steps: Sequence[Step]) -> set[str]:
    """Return the ids of the calls that may have run, and whose results no step has."""
    doubted: set[str] = set()
    for step in steps:
        match step.content:
            case Answered(acting=acting) | Began(acting=acting) | Continued(acting=acting):
                doubted = set(acting)
            case Returned(call_id=call_id):
                doubted.discard(call_id)
    return doubted


def with_steps(messages: Sequence[ModelMessage], steps: Sequence[Step]) -> list[ModelMessage]:
    """
    Return a turn's messages with what its steps have added to them.

    Raises:
        EngineError: A step cannot be read.
    """
    return joined([*messages, *(message for step in steps for message in _messages(step))])


def _messages(step: Step) -> list[ModelMessage]:
    match step.content:
        case Answered(message=kept) | Returned(part=kept):
            try:
                return loaded(kept)
            except ValueError as error:
                message = "A step of the run is recorded in a form that is not known."
                raise EngineError(message, error_type="CANNOT_RESUME") from error
        case Began() | Continued():
            return []


def joined(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """
    Join the results of each answer's calls into one message, in the order of the calls.

    So a turn that was interrupted has the messages of one that was not.
    """
    result: list[ModelMessage] = []
    for message in messages:
        last = result[-1] if result else None
        if isinstance(message, ModelRequest) and isinstance(last, ModelRequest):
            result[-1] = replace(last, parts=[*last.parts, *message.parts])
        else:
            result.append(message)
    calls: dict[str, int] = {}
    for index, message in enumerate(result):
        if isinstance(message, ModelResponse):
            calls = {call.tool_call_id: place for place, call in enumerate(message.tool_calls)}
        elif calls:
            result[index] = replace(message, parts=_in_order(message.parts, calls))
    return result


def _in_order(
    parts: Sequence[ModelRequestPart], calls: Mapping[str, int]
) -> list[ModelRequestPart]:
    """Sort the results by their calls; what the model is shown besides follows them."""

    def place(part: ModelRequestPart) -> int:
        call_id = getattr(part, "tool_call_id", None)
        return calls.get(call_id, len(calls)) if isinstance(call_id, str) else len(calls)

    return sorted(parts, key=place)


def open_calls(messages: Sequence[ModelMessage]) -> list[ToolCallPart]:
    """Return the calls of the last answer that have no result yet."""
    for index in reversed(range(len(messages))):
        message = messages[index]
        if isinstance(message, ModelResponse):
            done = set(_results(messages[index + 1 :]))
            return [call for call in message.tool_calls if call.tool_call_id not in done]
    return []


def succeeded(steps: Sequence[Step]) -> int:
    """Count the tool calls among the steps that succeeded."""
    parts = (
        part
        for step in steps
        if isinstance(step.content, Returned)
        for message in _messages(step)
        for part in message.parts
    )
    return sum(isinstance(part, ToolReturnPart) and part.outcome == "success" for part in parts)


def _results(messages: Sequence[ModelMessage]) -> Iterator[str]:
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolReturnPart):
                yield part.tool_call_id
