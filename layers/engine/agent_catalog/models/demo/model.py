"""The demo model: a pydantic-ai model that follows fixed rules, without a network."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import (
    BinaryContent,
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

from agent_catalog.models.demo.followups import followups
from agent_catalog.models.demo.rules import next_step
from agent_catalog.models.demo.step import Conversation, Step, ToolCall, ToolResult, split_tokens
from agent_catalog.running.events import failure_reason
from agent_catalog.running.followups import Exchange

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
        await _pause(step.lead_s)
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
    conversation = _conversation(messages)
    if info.output_tools:
        exchange = Exchange.model_validate_json(conversation.message)
        texts = followups(exchange.question, exchange.answer, exchange.tools)
        return Step(calls=(ToolCall(info.output_tools[0].name, {"suggestions": texts}),))
    return next_step(conversation, [tool.name for tool in info.function_tools])


def _conversation(messages: Sequence[ModelMessage]) -> Conversation:
    prompts: list[UserPromptPart] = []
    calls: dict[str, ToolCall] = {}
    results: dict[str, ToolResult] = {}
    for part in (part for message in messages for part in message.parts):
        if isinstance(part, UserPromptPart):
            prompts.append(part)
            calls, results = {}, {}
        elif isinstance(part, ToolCallPart):
            calls[part.tool_call_id] = ToolCall(part.tool_name, part.args_as_dict())
        elif isinstance(part, ToolReturnPart) and part.tool_call_id in calls:
            results[part.tool_call_id] = _result(part, calls[part.tool_call_id])
    *earlier, latest = prompts
    return Conversation(
        message=_text(latest),
        media=[
            (item.media_type, len(item.data))
            for item in latest.content
            if isinstance(item, BinaryContent)
        ],
        results=[results[call_id] for call_id in calls if call_id in results],
        earlier=[_text(prompt) for prompt in earlier],
    )


def _result(part: ToolReturnPart, call: ToolCall) -> ToolResult:
    if part.outcome == "success":
        return ToolResult(call, part.content)
    reason = failure_reason(part.content)
    return ToolResult(call, reason, failed=True, rejected=part.outcome == "denied")


def _text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return next((item for item in part.content if isinstance(item, str)), "")
