"""
What Bedrock refuses of a request for an answer; `docs/models.md` names the source of each rule.

First the shapes of the service, as botocore ships them: botocore itself checks neither patterns nor
most lengths. Then what the service checks beyond them, and what the models of Anthropic do.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.session import get_session

_HALF = re.compile(r"[\ud800-\udfff]")
_ANTHROPIC_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Block = dict[str, Any]


def faults(body: dict[str, Any], path: str) -> list[str]:
    """Return what is wrong with a request, each with its place; nothing where Bedrock takes it."""
    operation = "ConverseStream" if path.endswith("-stream") else "Converse"
    shape = input_shape(operation)
    # The model's id is in the path.
    broken = [*_half_characters(body), *misshapen(shape, {"modelId": "m.m", **body}, "")]
    rules = [*_RULES]
    if "moonshot" not in path:
        rules.append(_anthropic_ids)
    if "meta." in path or "mistral." in path:
        rules.append(_mixed_turns)
    return broken or [fault for rule in rules for fault in rule(body)]


@cache
def input_shape(operation: str) -> Shape:
    """Return what an operation takes; it takes a while to be read, once."""
    service = get_session().get_service_model("bedrock-runtime")
    shape = service.operation_model(operation).input_shape
    assert shape is not None
    return shape


def misshapen(shape: Shape, value: Any, place: str) -> Iterator[str]:
    """Yield where a value is not as botocore's service model has it."""
    if getattr(shape, "is_document_type", False):
        return
    match shape:
        case StructureShape():
            yield from _wrong_structure(shape, value, place)
        case ListShape():
            if not isinstance(value, list):
                yield f"{place} is no list"
                return
            yield from _wrong_size(shape, len(value), place)
            for index, item in enumerate(value):
                yield from misshapen(shape.member, item, f"{place}.{index}")
        case MapShape():
            yield from _wrong_size(shape, len(value), place)
            for key, item in value.items():
                yield from misshapen(shape.value, item, f"{place}.{key}")
        case StringShape():
            yield from _wrong_string(shape, value, place)
        case _ if shape.type_name in {"integer", "float", "long", "double"}:
            yield from _wrong_size(shape, value, place)


def _wrong_structure(shape: StructureShape, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is no object"
        return
    if shape.is_tagged_union and len(value) != 1:
        yield f"{place} has to be exactly one of {', '.join(shape.members)}"
    for name in shape.required_members:
        if name not in value:
            yield f"{place}.{name} is missing"
    for name, item in value.items():
        if name in shape.members:
            yield from misshapen(shape.members[name], item, f"{place}.{name}")
        else:
            yield f"{place}.{name} is not known"


def _wrong_string(shape: StringShape, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{place} is no text"
        return
    yield from _wrong_size(shape, len(value), place)
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield f"{place} is not {pattern}"
    if shape.enum and value not in shape.enum:
        yield f"{place} is not one of {', '.join(shape.enum)}"


def _wrong_size(shape: Shape, size: float, place: str) -> Iterator[str]:
    if size < shape.metadata.get("min", size) or size > shape.metadata.get("max", size):
        yield f"{place} is too short, too small, too long or too large"


def _half_characters(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, str) and _HALF.search(value):
        yield f"{place} holds half a character"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _half_characters(item, f"{place}.{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _half_characters(key, f"{place}.{key!a}")
            yield from _half_characters(item, f"{place}.{key!a}")


def _blocks(body: Block, kind: str) -> Iterator[tuple[str, Any]]:
    for number, message in enumerate(body["messages"]):
        for index, block in enumerate(message["content"]):
            if kind in block:
                yield f"messages.{number}.content.{index}", block[kind]


def _empty_contents(body: Block) -> Iterator[str]:
    for number, message in enumerate(body["messages"]):
        if not message["content"]:
            yield f"The content field in the Message object at messages.{number} is empty."


def _blank_texts(body: Block) -> Iterator[str]:
    texts = list(_blocks(body, "text"))
    texts += ((f"system.{n}", s["text"]) for n, s in enumerate(body.get("system", [])))
    for place, result in _blocks(body, "toolResult"):
        texts += ((place, item["text"]) for item in result["content"] if "text" in item)
    for place, text in texts:
        if not text.strip():
            yield f"The text field in the ContentBlock object at {place} is blank."


def _sides(body: Block) -> Iterator[str]:
    roles = [message["role"] for message in body["messages"]]
    if not roles or roles[0] != "user":
        yield "A conversation must start with a user message."
    if any(before == after for before, after in pairwise(roles)):
        yield "A conversation must alternate between user and assistant roles."
    if roles and roles[-1] != "user":
        yield "The model requires the last turn to be a user message."


def _calls_without_tools(body: Block) -> Iterator[str]:
    calls = [*_blocks(body, "toolUse"), *_blocks(body, "toolResult")]
    if calls and "toolConfig" not in body:
        yield "The toolConfig field must be defined when using toolUse and toolResult blocks."


def _calls(body: Block) -> Iterator[str]:
    calls = list(_blocks(body, "toolUse"))
    ids = Counter(call["toolUseId"] for _, call in calls)
    yield from (f"{call_id}: `tool_use` ids must be unique" for call_id in ids if ids[call_id] > 1)
    for place, call in calls:
        if not isinstance(call["input"], dict):
            yield f"{place}.toolUse.input is no object"


def _anthropic_ids(body: Block) -> Iterator[str]:
    for place, call in _blocks(body, "toolUse"):
        if not _ANTHROPIC_CALL_ID.fullmatch(call["toolUseId"]):
            yield f"{place}.toolUse.toolUseId is not {_ANTHROPIC_CALL_ID.pattern}"


def _results(body: Block) -> Iterator[str]:
    previous: list[str] = []
    for number, message in enumerate([*body["messages"], {"content": []}]):
        results = _ids(message["content"], "toolResult")
        if sorted(results) != sorted(previous):
            yield f"Expected toolResult blocks at messages.{number} for {previous}: {results}"
        previous = _ids(message["content"], "toolUse")
    for place, result in _blocks(body, "toolResult"):
        for item in result["content"]:
            if "json" in item and not isinstance(item["json"], dict):
                yield f"{place}.toolResult.content: Provide a json object for the field."


def _ids(content: Sequence[Block], kind: str) -> list[str]:
    return [block[kind]["toolUseId"] for block in content if kind in block]


def _mixed_turns(body: Block) -> Iterator[str]:
    for number, message in enumerate(body["messages"]):
        for kind in ("toolUse", "toolResult"):
            tools = [block for block in message["content"] if kind in block]
            if tools and len(tools) < len(message["content"]):
                place = f"messages.{number}.content"
                yield f"{place}: Conversation blocks and {kind} blocks cannot be in the same turn."


def _unsigned_reasoning(body: Block) -> Iterator[str]:
    for place, reasoning in _blocks(body, "reasoningContent"):
        if not reasoning.get("reasoningText", {"signature": "redacted"}).get("signature"):
            yield f"{place}.thinking.signature: Field required"


def _tools(body: Block) -> Iterator[str]:
    specs = [tool["toolSpec"] for tool in body.get("toolConfig", {}).get("tools", []) if tool]
    names = Counter(spec["name"] for spec in specs)
    yield from (f"{name}: tool names must be unique" for name in names if names[name] > 1)


def _thinking_budget(body: Block) -> Iterator[str]:
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking", {})
    most = body.get("inferenceConfig", {}).get("maxTokens")
    if (budget := thinking.get("budget_tokens")) is None:
        return
    if budget < 1_024:
        yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if most is not None and budget >= most:
        yield "`max_tokens` must be greater than `thinking.budget_tokens`"


_RULES: Sequence[Callable[[Block], Iterator[str]]] = (
    _empty_contents,
    _blank_texts,
    _sides,
    _calls_without_tools,
    _calls,
    _results,
    _unsigned_reasoning,
    _tools,
    _thinking_budget,
)
