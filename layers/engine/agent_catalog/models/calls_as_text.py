"""Earlier calls and their results told as text, for a request that offers no tools."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_core import to_json

from agent_catalog.json_form import to_json_value
from agent_catalog.running.messages import without_media

_TAG = "earlier_tool_call"


def calls_as_text(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """
    Return messages without calls: each stands, with its result, in the request that had the result.

    In the user's turn and not in the model's: a model that finds calls written in its own answers
    writes its next calls there too, as text. What a tool has returned is JSON inside a tag that it
    cannot close.
    """
    calls: dict[str, ToolCallPart] = {}
    result: list[ModelMessage] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            calls |= {call.tool_call_id: call for call in message.tool_calls}
            said = [part for part in message.parts if not isinstance(part, ToolCallPart)]
            result.append(replace(message, parts=said))
        elif isinstance(message, ModelRequest):
            sent = [_told(part, calls) for part in message.parts]
            result.append(replace(message, parts=sent))
    return result


def _told(part: ModelRequestPart, calls: dict[str, ToolCallPart]) -> ModelRequestPart:
    if not isinstance(part, ToolReturnPart):
        return part
    call = calls.get(part.tool_call_id)
    told: dict[str, Any] = {"tool": part.tool_name}
    if call is not None:
        told["arguments"] = to_json_value(call.args_as_dict())
    outcome = "result" if part.outcome == "success" else "error"
    told[outcome] = to_json_value(without_media(part.content))
    text = to_json(told).decode().replace("<", "\\u003c")
    return UserPromptPart(f"<{_TAG}>{text}</{_TAG}>")
