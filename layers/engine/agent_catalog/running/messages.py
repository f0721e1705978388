"""A turn's messages as JSON: what a later turn, or the rest of this one, needs of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
    FileUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

# What was said stays; how it was sent, billed and traced is of no use to anybody later.
_LEFT_OUT: Any = {
    "__all__": {
        "usage",
        "run_id",
        "conversation_id",
        "instructions",
        "model_id",
        "provider_url",
        "history_digest",
        "failed_attempts",
        "workspace_ref",
        "metadata",
    }
}


def dumped(messages: Sequence[ModelMessage]) -> bytes:
    """Write messages as JSON; None values of their own fields are left out."""
    return ModelMessagesTypeAdapter.dump_json(list(messages), exclude=_LEFT_OUT, exclude_none=True)


def loaded(messages: str | bytes) -> list[ModelMessage]:
    """Read messages, or raise ValueError (pydantic's ValidationError is one)."""
    return ModelMessagesTypeAdapter.validate_json(messages)


def for_later_turns(messages: Sequence[ModelMessage]) -> str | None:
    """
    Write what the next turns of the conversation need of this one, media and reasoning left out.

    Returns:
        JSON; None for a plain question and its answer, which say it all.
    """
    if _is_plain(messages):
        return None
    kept: list[ModelMessage] = []
    for message in messages:
        if isinstance(message, ModelRequest):
            sent = [_remembered(part) for part in message.parts]
            kept.append(replace(message, parts=sent))
        elif isinstance(message, ModelResponse):
            said = [_said(part) for part in message.parts if not isinstance(part, ThinkingPart)]
            if said:
                kept.append(replace(message, parts=said))
    return dumped(kept).decode()


def with_prompt(
    messages: Sequence[ModelMessage], content: str | Sequence[UserContent]
) -> list[ModelMessage]:
    """Put other content into the prompt that a turn's messages begin with."""
    first, *others = messages
    assert isinstance(first, ModelRequest)  # noqa: S101 - a turn begins with what the user said
    parts = [
        replace(part, content=content) if isinstance(part, UserPromptPart) else part
        for part in first.parts
    ]
    return [replace(first, parts=parts), *others]


def without_media(content: Any) -> Any:
    """Replace each file in what was sent or returned by its type and size in square brackets."""
    if isinstance(content, BinaryContent):
        return f"[{content.media_type}, {len(content.data)} bytes]"
    if isinstance(content, FileUrl):
        return f"[{content.media_type}]"
    if isinstance(content, list | tuple):
        return [without_media(item) for item in content]
    if isinstance(content, dict):
        return {key: without_media(item) for key, item in content.items()}
    return content


def _is_plain(messages: Sequence[ModelMessage]) -> bool:
    match messages:
        case [ModelRequest(parts=[UserPromptPart(content=str())]), ModelResponse(parts=parts)]:
            return all(isinstance(part, TextPart | ThinkingPart) for part in parts)
        case _:
            return False


def _remembered(part: ModelRequestPart) -> ModelRequestPart:
    if isinstance(part, UserPromptPart | ToolReturnPart):
        return replace(part, content=without_media(part.content))
    return part


def _said(part: ModelResponsePart) -> ModelResponsePart:
    return TextPart(without_media(part.content)) if isinstance(part, FilePart) else part
