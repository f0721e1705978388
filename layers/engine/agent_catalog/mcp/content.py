"""What a model is told of a server's tools and of their results."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from agent_catalog.binding.parameters import ToolParameters
from agent_catalog.binding.schema import UnusableSchemaError
from agent_catalog.mcp.messages import JsonObject

_NOTHING = "The tool has returned nothing."
_FAILED = "The tool has failed."
# Fields that describe the answer, rather than being it.
_ABOUT = frozenset({"_meta", "isError", "content", "structuredContent", "resultType"})


@dataclass(frozen=True)
class CallResult:
    """A call's result; if the tool itself has `failed`, the content says why."""

    content: JsonValue
    failed: bool = False


def read_result(result: JsonObject) -> CallResult:
    """
    Return what the model is told of the answer to `tools/call`, whatever the server has sent.

    Servers differ in whether the text or the structured content is what matters. If both say the
    same, the model gets only the structure; if they differ, both. Pictures and files are named and
    left out: they would fill the conversation.
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
    """Whether the blocks are texts that say the same as a structure."""
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
    # Until revision 2026-07-28 it had to be an object, so libraries wrap other values in this key.
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


_MAX_DEFINITION_BYTES = 64 * 1024


@dataclass(frozen=True)
class ToolDescription:
    """A tool as its server describes it, in a form that every model accepts."""

    name: str
    description: str
    parameters: ToolParameters

    @classmethod
    def of(cls, name: str, tool: JsonObject) -> "ToolDescription":
        """
        Read a server's description of a tool.

        Raises:
            UnusableSchemaError: No model can use it; the message says why.
        """
        described = cls(name, _description(tool), ToolParameters.of(tool.get("inputSchema")))
        fault = fault_of_size(described.description, described.parameters.schema)
        if fault is not None:
            raise UnusableSchemaError(fault)
        return described


class ToolListing:
    """
    The wanted tools that a server has listed so far.

    `found` has the usable ones; `repeated` the names that were listed again: the first usable
    description counts.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self.found: dict[str, ToolDescription] = {}
        self.repeated: set[str] = set()
        self.end = "it is not listed"
        self._wanted = frozenset(wanted)
        self._faults: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether all wanted tools are found."""
        return self._wanted == self.found.keys()

    def add(self, tools: Iterable[JsonValue]) -> None:
        """Read one page of the list."""
        for tool in tools:
            name = tool.get("name") if isinstance(tool, dict) else None
            if not isinstance(tool, dict) or not isinstance(name, str) or name not in self._wanted:
                continue
            if name in self.found:
                self.repeated.add(name)
                continue
            try:
                self.found[name] = ToolDescription.of(name, tool)
            except UnusableSchemaError as error:
                self._faults[name] = str(error)

    def fault(self, name: str) -> str:
        """Return why a wanted tool was not found."""
        return self._faults.get(name, self.end)


def fault_of_size(description: str, schema: Mapping[str, object]) -> str | None:
    """Return what is wrong with a definition that is too large; None if it is not."""
    size = len(description.encode()) + len(to_json(schema))
    return "its definition is larger than 64 KB" if size > _MAX_DEFINITION_BYTES else None


def _description(tool: JsonObject) -> str:
    annotations = tool.get("annotations")
    titled = annotations.get("title") if isinstance(annotations, dict) else None
    texts = (tool.get("description"), tool.get("title"), titled)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")
