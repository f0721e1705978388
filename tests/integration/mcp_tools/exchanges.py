"""What odd servers send, and what becomes of it; `docs/mcp.md` has the same rows."""

from typing import Any, NamedTuple

Json = dict[str, Any]


class Parameters(NamedTuple):
    """
    The schema of a tool's arguments.

    `sent` is the server's, `given` the one that the model's provider gets; `called` is what the
    model, and with it the user, calls the tool with, `passed` what the server is called with.
    """

    sent: object
    given: Json
    called: Json
    passed: Json


class Answer(NamedTuple):
    """The answer to `tools/call`, and the result that the model and the user see."""

    sent: Json
    seen: object


TEXT = {"type": "string"}


def schema(**properties: object) -> Json:
    """Write the schema of an object."""
    return {"type": "object", "properties": properties}


def wrapped(inner: Json) -> Json:
    """Write the schema of an object with this one inside."""
    return schema(arguments=inner) | {"required": ["arguments"]}


def named(name: str, part: Json) -> Json:
    """Describe a property that the server knows by another name."""
    return {**part, "description": f"The tool's own name for it is {name}."}


ONE_OF_TWO = [{"required": ["id"]}, {"required": ["slug"]}]
BRANCHES = [schema(url=TEXT), schema(text=TEXT)]

PARAMETERS = [
    Parameters(
        schema(id=TEXT, slug=TEXT) | {"anyOf": ONE_OF_TWO},
        wrapped(schema(id=TEXT, slug=TEXT) | {"anyOf": ONE_OF_TWO}),
        {"arguments": {"id": "7"}},
        {"id": "7"},
    ),
    Parameters(
        {"type": "object", "oneOf": BRANCHES},
        wrapped({"type": "object", "oneOf": BRANCHES}),
        {"arguments": {"text": "hi"}},
        {"text": "hi"},
    ),
    Parameters(
        {"$ref": "#/$defs/Page", "$defs": {"Page": schema(id=TEXT)}},
        wrapped({"type": "object", "$ref": "#/$defs/Page"}) | {"$defs": {"Page": schema(id=TEXT)}},
        {"arguments": {"id": "7"}},
        {"id": "7"},
    ),
    Parameters(
        schema(**{"$filter": TEXT}) | {"required": ["$filter"]},
        schema(filter=named("$filter", TEXT)) | {"required": ["filter"]},
        {"filter": "a eq 1"},
        {"$filter": "a eq 1"},
    ),
    Parameters(
        schema(**{"ids[]": {"type": "array", "items": TEXT}}),
        schema(ids=named("ids[]", {"type": "array", "items": TEXT})),
        {"ids": ["7"]},
        {"ids[]": ["7"]},
    ),
    Parameters(
        schema(名前=TEXT),
        schema(property_7ec26292=named("名前", TEXT)),
        {"property_7ec26292": "Ana"},
        {"名前": "Ana"},
    ),
    Parameters(
        schema(**{"filter": TEXT, "filter[]": TEXT}),
        schema(filter=TEXT, filter_89aff902=named("filter[]", TEXT)),
        {"filter": "a", "filter_89aff902": "b"},
        {"filter": "a", "filter[]": "b"},
    ),
    Parameters(
        schema(a=schema(**{"@type": TEXT})),
        schema(a=schema(type=named("@type", TEXT))),
        {"a": {"type": "b"}},
        {"a": {"@type": "b"}},
    ),
    Parameters({"type": "object", "properties": []}, schema(), {}, {}),
    Parameters({"type": "object", "properties": None}, schema(), {}, {}),
    Parameters({}, schema(), {}, {}),
    Parameters(None, schema(), {}, {}),
    Parameters({"properties": {"a": None}}, schema(a={}), {"a": 1}, {"a": 1}),
    Parameters({"properties": {"a": "string"}}, schema(a=TEXT), {"a": "b"}, {"a": "b"}),
    Parameters({"properties": {"a": {"anyOf": None}}}, schema(a={}), {"a": 1}, {"a": 1}),
    Parameters(
        {"type": "object", "patternProperties": []},
        schema() | {"patternProperties": {}},
        {"a": 1},
        {"a": 1},
    ),
    Parameters(
        schema(a={"type": "any", "required": True, "exclusiveMinimum": True}),
        schema(a={}),
        {"a": 1},
        {"a": 1},
    ),
    Parameters(
        {"$schema": "http://json-schema.org/draft-07/schema#"}
        | schema(a={"type": "array", "items": [TEXT], "additionalItems": False}),
        schema(a={"type": "array", "prefixItems": [TEXT], "items": {"not": {}}}),
        {"a": ["b"]},
        {"a": ["b"]},
    ),
    Parameters(schema(a={"$ref": "#/$defs/Gone"}), schema(a={}), {"a": 1}, {"a": 1}),
]


def text(*texts: str | None) -> Json:
    """Write a result of texts."""
    return {"content": [{"type": "text", "text": text} for text in texts]}


PICTURE = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
FILE = {"type": "resource", "resource": {"uri": "file:a", "blob": "QQ=="}}
LINK = {"type": "resource_link", "name": "a", "uri": "https://a.example"}
NOTHING = "The tool has returned nothing."

ANSWERS = [
    Answer(text("page", "page"), "page\npage"),
    Answer(text('{"n": 1}') | {"structuredContent": {"n": 1}}, {"n": 1}),
    Answer(text("1") | {"structuredContent": {"result": 1}}, 1),
    Answer(text("1", "a") | {"structuredContent": {"result": [1, "a"]}}, [1, "a"]),
    Answer({"content": [], "structuredContent": {"n": 1}}, {"n": 1}),
    Answer({"structuredContent": [1, 2]}, [1, 2]),
    Answer({"structuredContent": "found"}, "found"),
    Answer({"structuredContent": False}, False),
    Answer(text("1 page") | {"structuredContent": {}}, "1 page"),
    Answer(text("1 page") | {"structuredContent": None}, "1 page"),
    Answer({"content": [], "structuredContent": {}}, {}),
    Answer(
        text("1 page") | {"structuredContent": {"pages": ["a"]}},
        {"text": "1 page", "structuredContent": {"pages": ["a"]}},
    ),
    Answer(
        text("1 page") | {"structuredContent": ["a"]},
        {"text": "1 page", "structuredContent": ["a"]},
    ),
    Answer({"content": [*text("1")["content"], PICTURE]}, "1\n[image, image/png: left out]"),
    Answer({"content": [FILE, LINK]}, "[file, file:a: left out]\nhttps://a.example"),
    Answer(
        {"content": [{"type": "resource", "resource": {"uri": "file:a", "text": "A"}}]},
        "A",
    ),
    Answer({"content": [{"type": "hologram"}]}, "[content of an unknown kind: left out]"),
    Answer({"content": ["page", None, {"text": "page"}]}, "page\npage"),
    Answer({"content": "page"}, "page"),
    Answer({"content": {"type": "text", "text": "page"}}, "page"),
    Answer({"content": None}, NOTHING),
    Answer(text(None), NOTHING),
    Answer(text(" "), NOTHING),
    Answer({}, NOTHING),
    Answer({"toolResult": {"n": 1}}, {"toolResult": {"n": 1}}),
]
