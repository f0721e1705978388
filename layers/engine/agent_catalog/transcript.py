"""
A turn's messages as its user sees them, read from the engine's own form.

That form is pydantic-ai's JSON of messages, read here without loading the library, so that reading
conversations does not wait for the engine.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic_core import to_json

from agentrun.domain.conversations import Message, PastTurn


class _Part(BaseModel):
    """One part of a message; its kind decides which fields it has."""

    part_kind: str
    content: JsonValue = None
    tool_name: str | None = None
    timestamp: datetime | None = None


class _EngineMessage(BaseModel):
    """One message to the model, a "request", or from it, a "response"."""

    parts: tuple[_Part, ...]
    timestamp: datetime | None = None


_MESSAGES = TypeAdapter(tuple[_EngineMessage, ...])
_TOOL_KINDS = {"tool-return", "builtin-tool-return", "retry-prompt"}
"""Earlier versions of the library answered failed calls with the last kind."""
_WITHOUT_TEXT = {"cache-point"}

_Role = Literal["user", "assistant", "tool"]
_Said = tuple[_Role, str, datetime | None]


def transcript(turn: PastTurn) -> Sequence[Message]:
    """
    Return the messages of one turn, oldest first.

    The user's message is the question, the assistant's are the stretches of its answer, a tool's is
    its result or the reason for its failure, as text or JSON. Media are named by type in square
    brackets. Reasoning, instructions, and prompts or answers without text are left out. If the
    engine's messages are missing or cannot be read, the turn is its input and its output.
    """
    said = _by_engine(turn.messages) if turn.messages is not None else None
    if said is None:
        said = [("user", turn.input, None), ("assistant", turn.output, None)]
    return [
        Message(
            role=role,
            content=text,
            created_at=turn.created_at if role == "user" else at or turn.updated_at,
            run_id=turn.run_id,
        )
        for role, text, at in said
        if text or role == "tool"
    ]


def _by_engine(dumped: str) -> list[_Said] | None:
    try:
        messages = _MESSAGES.validate_json(dumped)
    except ValidationError:
        return None
    return [said for message in messages for said in _said_in(message)]


def _said_in(message: _EngineMessage) -> Iterator[_Said]:
    """Yield what one message says, joining the assistant's adjacent texts."""
    answer: list[str] = []
    for part in message.parts:
        if part.part_kind == "text":
            answer.append(_text(part.content))
        elif part.part_kind == "file":
            answer.append(_name_of_media(part.content))
        elif part.part_kind in _TOOL_KINDS and part.tool_name is not None:
            yield "assistant", "".join(answer), message.timestamp
            answer = []
            yield "tool", _text(part.content), part.timestamp
        elif part.part_kind == "user-prompt":
            yield "user", _prompt(part.content), part.timestamp
    yield "assistant", "".join(answer), message.timestamp


def _prompt(content: JsonValue) -> str:
    if not isinstance(content, list):
        return _text(content)
    return "\n".join(
        item if isinstance(item, str) else _name_of_media(item)
        for item in content
        if not (isinstance(item, dict) and item.get("kind") in _WITHOUT_TEXT)
    )


def _name_of_media(item: JsonValue) -> str:
    if isinstance(item, dict):
        if isinstance(item.get("content"), str):
            return str(item["content"])
        return f"[{item.get('media_type') or item.get('kind') or 'media'}]"
    return _text(item)


def _text(content: JsonValue) -> str:
    return content if isinstance(content, str) else to_json(_without_bytes(content)).decode()


def _without_bytes(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_without_bytes(item) for item in value]
    if isinstance(value, dict):
        if value.get("kind") == "binary":
            return _name_of_media(value)
        return {name: _without_bytes(item) for name, item in value.items()}
    return value
