"""The demo model: a pydantic-ai model that follows fixed rules, without a network."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingCalls,
    DeltaThinkingPart,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
)

from agent_catalog.demo.rules import next_step
from agent_catalog.demo.step import Step, ToolCall, ToolResult, split_tokens
from agent_catalog.engine_events import failure_reason

# A long answer comes faster, so that a demonstration never waits longer than this for one.
_MAX_ANSWER_S = 15.0

_Delta = str | DeltaToolCalls | DeltaThinkingCalls


def demo_model(*, delay_s: float) -> FunctionModel:
    """
    Build the demo model.

    Args:
        delay_s: The pause after each token, so that a human sees it stream; 0 for none.
    """

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[_Delta]:
        step = _step(messages, info)
        thoughts = split_tokens(step.reasoning)
        pause_s = min(delay_s, _MAX_ANSWER_S / (len(thoughts) + len(step.tokens) + 1))
        for thought in thoughts:
            yield {0: DeltaThinkingPart(content=thought)}
            await _pause(pause_s)
        if step.calls:
            # One part per call; the thinking part has the number 0.
            yield {
                number: DeltaToolCall(
                    name=call.name,
                    json_args=json.dumps(call.arguments),
                    tool_call_id=_call_id(messages, number),
                )
                for number, call in enumerate(step.calls, start=1)
            }
        pause_s = pause_s if step.pace_s is None else step.pace_s
        for token in step.tokens:
            yield token
            await _pause(pause_s)
        if step.fails:
            raise _asked_to_fail()

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        step = _step(messages, info)
        if step.fails:
            raise _asked_to_fail()
        parts: list[ModelResponsePart] = []
        if step.reasoning:
            parts.append(ThinkingPart(step.reasoning))
        parts += [
            ToolCallPart(call.name, call.arguments, tool_call_id=_call_id(messages, number))
            for number, call in enumerate(step.calls, start=1)
        ]
        if step.tokens:
            parts.append(TextPart("".join(step.tokens)))
        return ModelResponse(parts=parts)

    return FunctionModel(respond, stream_function=stream, model_name="demo")


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def _asked_to_fail() -> ModelAPIError:
    return ModelAPIError("demo", "The demo model was asked to fail.")


def _call_id(messages: Sequence[ModelMessage], number: int) -> str:
    # The same in every run of the same conversation, and used once in each.
    return f"demo_{len(messages)}_{number}"


def _step(messages: Sequence[ModelMessage], info: AgentInfo) -> Step:
    message, results = _latest_turn(messages)
    return next_step(message, [tool.name for tool in info.function_tools], results)


def _latest_turn(messages: Sequence[ModelMessage]) -> tuple[str, list[ToolResult]]:
    """Give what the user said last, and what the tools have answered since."""
    message = ""
    calls: dict[str, ToolCall] = {}
    results: dict[str, ToolResult] = {}
    for part in (part for message_ in messages for part in message_.parts):
        if isinstance(part, UserPromptPart):
            message, calls, results = _text(part), {}, {}
        elif isinstance(part, ToolCallPart):
            calls[part.tool_call_id] = ToolCall(part.tool_name, part.args_as_dict())
        elif isinstance(part, ToolReturnPart) and part.tool_call_id in calls:
            failed = part.outcome != "success"
            content = failure_reason(part.content) if failed else part.content
            results[part.tool_call_id] = ToolResult(calls[part.tool_call_id], content, failed)
    return message, [results[call_id] for call_id in calls if call_id in results]


def _text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return next((item for item in part.content if isinstance(item, str)), "")
