"""From what an MCP tool returns to what a model can be given: text, or JSON."""

from pydantic import JsonValue

from agent_catalog.mcp_messages import JsonObject, ToolResult


def readable(result: ToolResult) -> JsonValue:
    """
    Give the structured result where there is one beside mere text, otherwise the text.

    A failed tool says why in its text. What is not text is named, and left out: pictures and files
    would fill the conversation.
    """
    structured = None if result.is_error else result.structured_content
    if structured is not None and all(_is_text(item) for item in result.content):
        return _unwrapped(structured)
    return "\n".join(_text(item) for item in result.content)


def _is_text(item: JsonObject) -> bool:
    return item.get("type") == "text"


def _unwrapped(structured: JsonObject) -> JsonValue:
    # It has to be an object, so the protocol's libraries wrap every other value into this one key.
    return structured["result"] if structured.keys() == {"result"} else structured


def _text(item: JsonObject) -> str:
    match item:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return uri
        case {"type": "image" | "audio" as kind, "mimeType": str(media)}:
            return f"[{kind}, {media}: left out]"
        case {"type": "resource", "resource": {"uri": str(uri)}}:
            return f"[file, {uri}: left out]"
        case _:
            return "[content of an unknown kind: left out]"
