"""From what an MCP tool returns to what a model can be given: text, or JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import from_json

from agent_catalog.mcp_messages import JsonObject

_NOTHING = "The tool has returned nothing."
_FAILED = "The tool has failed."
# What says something of the answer, rather than being it.
_ABOUT = frozenset({"_meta", "isError", "content", "structuredContent", "resultType"})


@dataclass(frozen=True)
class CallResult:
    """What a call gave; `failed` says that the tool itself has failed, and why is its content."""

    content: JsonValue
    failed: bool = False


def read_result(result: JsonObject) -> CallResult:
    """
    Return what the model is told of the answer to `tools/call`, whatever the server has sent.

    Servers differ in whether the text or the structured content holds what matters. Where both say
    the same, the model is given the structure alone, where they differ, both. What is not text is
    named, and left out: pictures and files would fill the conversation.
    """
    given = result.get("content")
    blocks = given if isinstance(given, list) else [given]
    text = "\n".join(filter(None, map(_text, blocks)))
    structured = result.get("structuredContent")
    if structured is None and not text:
        structured = {name: part for name, part in result.items() if name not in _ABOUT} or None
    if result.get("isError") in (True, "true"):
        return CallResult(text or (json.dumps(structured) if structured else _FAILED), failed=True)
    if structured is None or (structured == {} and text):
        return CallResult(text if text.strip() else _NOTHING)
    if not text or _says(blocks, structured):
        content = _unwrapped(structured)
        return CallResult(_NOTHING if content == "" else content)
    return CallResult({"text": text, "structuredContent": structured})


def _says(blocks: Sequence[JsonValue], structured: JsonValue) -> bool:
    """Whether texts, and nothing else, say what a structure does."""
    texts = [block.get("text") for block in blocks if isinstance(block, dict)]
    written = [text for text in texts if isinstance(text, str)]
    if len(written) < len(blocks):
        return False
    # The protocol's libraries write a list as one text for each of its items.
    readings = [written, [_parsed(text) for text in written]]
    if len(written) == 1:
        readings += [written[0], _parsed(written[0])]
    said = {_canonical(structured), _canonical(_unwrapped(structured))}
    return not said.isdisjoint(map(_canonical, readings))


def _unwrapped(structured: JsonValue) -> JsonValue:
    # Until revision 2026-07-28 it had to be an object, so the protocol's libraries wrap every other
    # value into this one key.
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        return structured["result"]
    return structured


def _parsed(text: str) -> JsonValue:
    try:
        parsed: JsonValue = from_json(text)
    except ValueError:
        return text
    return parsed


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _text(block: JsonValue) -> str:
    match block:
        case str(text) | {"text": str(text)} | {"resource": {"text": str(text)}}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return uri
        case None | {"type": "text", "text": None}:
            return ""
    return f"[{_kind(block)}: left out]"


def _kind(block: JsonValue) -> str:
    match block:
        case {"type": "image" | "audio" as kind, "mimeType": str(media)}:
            return f"{kind}, {media}"
        case {"type": "image" | "audio" as kind}:
            return str(kind)
        case {"resource": {"uri": str(uri)}}:
            return f"file, {uri}"
    return "content of an unknown kind"
