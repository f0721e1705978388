"""What answers of models have used: as told, or estimated where they broke off."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.usage import RequestUsage, RunUsage
from pydantic_core import to_json

# A common estimate, for what a provider has not counted.
_CHARACTERS_PER_TOKEN = 4


def add(usage: RunUsage, answer: ModelResponse, used: RequestUsage | None = None) -> None:
    """Add to a run's usage what an answer has used, or `used` instead, with its price if known."""
    used = used or answer.usage
    if used.cost is None and answer.model_name:
        # There is not a price for every model.
        with suppress(LookupError, ValueError):
            used = replace(used, cost=replace(answer, usage=used).cost().total_price)
    usage.incr(used)
    if answer.parts:
        usage.requests += 1


def add_broken(
    usage: RunUsage,
    broken: ModelResponse,
    messages: Sequence[ModelMessage],
    parameters: ModelRequestParameters,
) -> None:
    """
    Add to a run's usage what an answer has used that broke off, as far as that can be told.

    Most providers tell at the end of an answer, and charge for it without one. So what they have
    not told is estimated from the texts: otherwise no budget could be kept.

    Args:
        usage: The run's.
        broken: What there was of the answer. Nothing is estimated if it had not begun.
        messages: What was asked. The input of the last answer among them was a part of it.
        parameters: Which tools were offered, and the instructions.
    """
    told = broken.usage
    if not broken.parts:
        add(usage, broken)
        return
    input_tokens = told.input_tokens or _input_tokens(messages, parameters)
    output_tokens = max(told.output_tokens, _tokens(_characters(broken)))
    if (input_tokens, output_tokens) != (told.input_tokens, told.output_tokens):
        # A cost that is known is that of what was told.
        told = replace(
            told,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=None,
            unmeasured_requests=0,
        )
    add(usage, broken, told)


def _input_tokens(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> int:
    known = [
        message.usage.input_tokens for message in messages if isinstance(message, ModelResponse)
    ]
    tools = (*parameters.function_tools, *parameters.output_tools)
    characters = sum(map(_characters, messages))
    characters += sum(
        len(tool.description or "") + len(to_json(tool.parameters_json_schema)) for tool in tools
    )
    return max([_tokens(characters), *known[-1:]])


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)


def _characters(message: ModelMessage) -> int:
    return sum(len(text) for part in message.parts for text in _texts(part))


def _texts(part: ModelRequestPart | ModelResponsePart) -> Iterator[str]:
    match part:
        case TextPart() | ThinkingPart() | SystemPromptPart():
            yield part.content
        case ToolCallPart():
            yield part.args_as_json_str()
        case ToolReturnPart():
            yield part.model_response_str()
        case UserPromptPart():
            said = [part.content] if isinstance(part.content, str) else part.content
            yield from (text for text in said if isinstance(text, str))
