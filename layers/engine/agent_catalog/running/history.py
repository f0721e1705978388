"""What the model sees of a conversation, and what is stored of a turn for that."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import JsonValue
from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
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

from agent_catalog.agent_file import History
from agent_catalog.json_form import to_json_value
from agent_catalog.models.sendable import without_media
from agentrun.domain.conversations import PastTurn
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import AgentTask

_log = logging.getLogger(__name__)

# A common estimate for English text and JSON. Half of the window is left to the turn itself.
_CHARACTERS_PER_TOKEN = 4
_CUT_OFF = "[This answer was cut off.]"
_NO_ANSWER = "[There is no answer: the run broke off.]"
# How a message was sent, billed and traced is of no use later.
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


def user_prompt(task: AgentTask) -> str | Sequence[UserContent]:
    """Return the message, followed by its media in the request's order."""
    if not task.media:
        return task.message
    return [task.message, *(_content(media) for media in task.media)]


def _content(media: LoadedMedia) -> BinaryContent:
    return BinaryContent.narrow_type(BinaryContent(media.data, media_type=media.type))


def to_messages(
    history: Sequence[PastTurn], limits: History, *, context_window: int | None = None
) -> list[ModelMessage]:
    """
    Return the newest turns that fit, each of them whole, oldest first.

    Args:
        history: The earlier turns, oldest first.
        limits: The most turns and characters.
        context_window: The model's, in tokens, if known; half of it limits the characters, too.
    """
    characters = limits.characters
    if context_window is not None:
        characters = min(characters, context_window * _CHARACTERS_PER_TOKEN // 2)
    kept: list[PastTurn] = []
    for turn in reversed(history[-limits.turns :] if limits.turns else ()):
        characters -= _size(turn)
        if characters < 0:
            break
        kept.append(turn)
    return [message for turn in reversed(kept) for message in messages_of(turn)]


def messages_of(turn: PastTurn) -> list[ModelMessage]:
    """Return a turn's messages; if it has none, its question and answer."""
    messages = [] if turn.messages is None else _read(turn.run_id, turn.messages)
    if messages:
        return messages
    answer = turn.output if turn.is_whole else f"{turn.output}\n\n{_CUT_OFF}"
    if not turn.output.strip():
        answer = _NO_ANSWER
    return [
        ModelRequest(parts=[UserPromptPart(turn.input)]),
        ModelResponse(parts=[TextPart(answer)]),
    ]


def tool_results(
    history: Sequence[PastTurn], latest: Sequence[ModelMessage] = ()
) -> Iterator[tuple[str, JsonValue]]:
    """Yield the names of tools with their results as JSON, oldest first."""
    earlier = (message for turn in history if turn.messages for message in messages_of(turn))
    for message in (*earlier, *latest):
        for part in message.parts:
            if isinstance(part, ToolReturnPart) and part.outcome == "success":
                yield part.tool_name, to_json_value(part.content)


def _read(run_id: str, dumped: str) -> list[ModelMessage]:
    """Read a turn's messages; return none if a history cannot contain them."""
    try:
        messages = loaded(dumped)
    except ValueError:
        _log.warning("the messages of a turn cannot be read", extra={"runId": run_id})
        return []
    # Any model refuses a turn that ends in calls without results.
    match messages:
        case [ModelRequest(), *_, ModelResponse(tool_calls=[])]:
            return messages
        case _:
            _log.warning("the messages of a turn are not whole", extra={"runId": run_id})
            return []


def _size(turn: PastTurn) -> int:
    return len(turn.messages) if turn.messages else len(turn.input) + len(turn.output)


def dumped(messages: Sequence[ModelMessage]) -> bytes:
    """Return messages as JSON, without fields that are None."""
    return ModelMessagesTypeAdapter.dump_json(list(messages), exclude=_LEFT_OUT, exclude_none=True)


def loaded(messages: str | bytes) -> list[ModelMessage]:
    """Read messages, or raise ValueError."""
    return ModelMessagesTypeAdapter.validate_json(messages)


def for_later_turns(messages: Sequence[ModelMessage]) -> str | None:
    """
    Return what the conversation's next turns need of this one, without media and reasoning.

    Returns:
        JSON, or None for a plain question and answer, which are stored anyway.
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
    """Replace the content of the prompt that a turn begins with."""
    first, *others = messages
    assert isinstance(first, ModelRequest)  # noqa: S101 - a turn begins with the user's message
    parts = [
        replace(part, content=content) if isinstance(part, UserPromptPart) else part
        for part in first.parts
    ]
    return [replace(first, parts=parts), *others]


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
