"""
A model's answer as the product takes it: whole characters, and ids that tell its calls apart.

What a model says is shown, stored and sent back. The first two need text that can be written as
UTF-8 and calls that clients can match by their ids; what the third needs is told by
`sendable_messages`.
"""

import re
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from hashlib import sha256
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
)

from agent_catalog.unicode_text import HalfCharacters, whole_json_text, whole_text, whole_value

_COUNTED = re.compile(r"(.*:)(\d{1,9})", re.DOTALL | re.ASCII)

MAX_CALL_ID = 256
"""What a decision on a call may name; some gateways hide a kilobyte of state in their ids."""


def sound_answer(answer: ModelResponse, earlier_ids: Collection[str]) -> ModelResponse:
    """
    Return an answer with whole characters and call ids that are not empty, too long or taken.

    The first call with an id keeps it; see `free_id` for the next ones.

    Args:
        answer: What the model has said.
        earlier_ids: The ids of the calls before this answer.
    """
    taken = set(earlier_ids)
    return replace(answer, parts=[_sound_part(part, taken) for part in answer.parts])


async def sound_events(
    events: AsyncIterator[ModelResponseStreamEvent],
) -> AsyncIterator[ModelResponseStreamEvent]:
    """Pass on the events of an answer; half a character waits for its other half."""
    halves: dict[int, tuple[HalfCharacters, type[TextPartDelta | ThinkingPartDelta]]] = {}
    async for event in events:
        if isinstance(event, PartStartEvent):
            for late in _late(halves):
                yield late
            if isinstance(event.part, TextPart | ThinkingPart):
                kind = TextPartDelta if isinstance(event.part, TextPart) else ThinkingPartDelta
                halves[event.index] = (HalfCharacters(), kind)
                content = halves[event.index][0].take(event.part.content)
                event = replace(event, part=replace(event.part, content=content))  # noqa: PLW2901
        elif isinstance(event, PartDeltaEvent) and event.index in halves:
            event = _continued(event, halves[event.index][0])  # noqa: PLW2901
        yield event
    for late in _late(halves):
        yield late


def call_ids(messages: Collection[ModelMessage]) -> set[str]:
    """Return the ids of all calls in a conversation."""
    return {
        part.tool_call_id
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }


def free_id(wanted: str, taken: Collection[str], *, longest: int) -> str:
    """
    Return an id, with `-2`, `-3` and so on after it if it is taken.

    One like `functions.add:0` has its own number raised: Kimi's models count their calls in their
    ids, and stop calling tools properly once they are given back others.
    """
    counted = _COUNTED.fullmatch(wanted)
    stem, number, result = (counted[1], int(counted[2]), wanted) if counted else ("", 1, wanted)
    while result in taken:
        number += 1
        suffix = f"{number}" if counted else f"-{number}"
        result = (stem or wanted)[: longest - len(suffix)] + suffix
    return result


def shortened_id(call_id: str, *, longest: int) -> str:
    """Cut an id and put a hash of all of it after what is left."""
    digest = sha256(call_id.encode()).hexdigest()[:16]
    return f"{call_id[: longest - len(digest) - 1]}-{digest}"


def _continued(event: PartDeltaEvent, half: HalfCharacters) -> PartDeltaEvent:
    delta: Any = event.delta
    if isinstance(delta, TextPartDelta | ThinkingPartDelta) and delta.content_delta:
        text = half.take(delta.content_delta)
        if text != delta.content_delta:
            return replace(event, delta=replace(delta, content_delta=text))
    return event


def _late(
    halves: dict[int, tuple[HalfCharacters, type[TextPartDelta | ThinkingPartDelta]]],
) -> list[PartDeltaEvent]:
    rest = ((index, half.rest(), kind) for index, (half, kind) in halves.items())
    return [
        PartDeltaEvent(index=index, delta=kind(content_delta=text))
        for index, text, kind in rest
        if text
    ]


def _sound_part(part: ModelResponsePart, taken: set[str]) -> ModelResponsePart:
    if isinstance(part, TextPart | ThinkingPart):
        content = whole_text(part.content)
        return part if content == part.content else replace(part, content=content)
    if not isinstance(part, ToolCallPart):
        return part
    call_id = whole_text(part.tool_call_id) or "call"
    if len(call_id) > MAX_CALL_ID:
        call_id = shortened_id(call_id, longest=MAX_CALL_ID)
    call_id = free_id(call_id, taken, longest=MAX_CALL_ID)
    taken.add(call_id)
    args = part.args
    # Typed as Any, since the library's special calls are typed by what their arguments are.
    changes: dict[str, Any] = {
        "tool_name": whole_text(part.tool_name),
        "args": whole_json_text(args) if isinstance(args, str) else args and whole_value(args),
        "tool_call_id": call_id,
    }
    return replace(part, **changes)
