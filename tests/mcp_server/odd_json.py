"""Hypothesis strategies for what a server may send: JSON of any kind, and schemas gone wrong."""

from typing import Any

from hypothesis import strategies as st

# What the protocol's messages are made of, so that a draw gets past their first lines.
WORDS = (
    *("jsonrpc", "id", "result", "error", "method", "params", "tools", "name", "nextCursor"),
    *("inputSchema", "description", "content", "structuredContent", "isError", "type", "text"),
    *("resource", "uri", "mimeType", "echo", "ping", "2025-11-25", "protocolVersion", "image"),
)
SINGLE = ("items", "not", "additionalProperties", "propertyNames", "if", "then", "contains")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
OTHERS = (
    *(
        "type",
        "enum",
        "const",
        "default",
        "required",
        "dependentRequired",
        "dependencies",
        "format",
    ),
    *("minimum", "exclusiveMinimum", "multipleOf", "maxLength", "minItems", "uniqueItems", "title"),
    *("description", "pattern", "$schema", "$id", "$anchor", "$dynamicRef", "examples", "nullable"),
    *("additionalItems", "unevaluatedProperties", "readOnly", "$comment", "contentMediaType"),
)
TYPES = ("object", "string", "array", "integer", "number", "boolean", "null", "any", "Object", "")
NAMES = st.sampled_from(
    [
        "a",
        "b",
        "filter",
        "$filter",
        "ids[]",
        "ids",
        "名前",
        "a b",
        "~1/",
        "%24",
        "",
        "x" * 65,
        "größe",
    ]
)
REFERENCES = st.sampled_from(
    [
        *("#", "#/$defs/a", "#/properties/$filter", "#/properties/%24filter", "#/definitions/b"),
        *("#/properties/a/items", "#/anyOf/0", "#/nowhere", "other.json#/a", "#/$defs/~01~1"),
    ]
)


def json_values(leaves: int = 8) -> st.SearchStrategy[Any]:
    """Draw any JSON, with the protocol's words more often than others."""
    texts = st.sampled_from(WORDS) | st.text(max_size=8)
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=leaves,
    )


def schemas() -> st.SearchStrategy[Any]:
    """Draw schemas of which some parts have the wrong form."""
    anything: st.SearchStrategy[Any] = st.one_of(
        st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from(TYPES), st.just([])
    )
    values = (
        anything | json_values(4) | st.lists(NAMES, max_size=3) | st.lists(anything, max_size=2)
    )

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        part = inner | anything
        keywords = {
            **dict.fromkeys(LISTS, st.lists(part, max_size=3) | part),
            **dict.fromkeys(SINGLE, part),
            **dict.fromkeys(MAPS, st.dictionaries(NAMES, part, max_size=3) | part),
            **dict.fromkeys(OTHERS, values),
            "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES)),
            "$ref": REFERENCES | values,
            "required": st.lists(NAMES, max_size=3) | values,
            "dependencies": st.dictionaries(NAMES, st.lists(NAMES, max_size=2) | part, max_size=2),
        }
        return st.lists(st.sampled_from(sorted(keywords)), max_size=5, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({keyword: keywords[keyword] for keyword in chosen})
        )

    return st.recursive(larger(anything), larger, max_leaves=6)


def valid_schemas() -> st.SearchStrategy[Any]:
    """Draw schemas as JSON Schema 2020-12 has them, without references."""
    count = st.integers(0, 3)
    types = st.sampled_from(sorted({"object", "string", "array", "integer", "null", "boolean"}))
    scalars = {
        "type": types | st.lists(types, min_size=1, unique=True),
        "enum": st.lists(json_values(3), max_size=3),
        "const": json_values(3),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True)),
        **dict.fromkeys(("minimum", "exclusiveMaximum"), st.integers() | st.floats(-9, 9)),
        **dict.fromkeys(("maxLength", "minItems", "maxProperties", "minContains"), count),
        "multipleOf": st.integers(1, 3),
        "uniqueItems": st.booleans(),
        "description": st.text(max_size=5),
    }

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        part = inner | st.booleans()
        keywords = {
            **scalars,
            **dict.fromkeys(LISTS[:-1], st.lists(part, min_size=1, max_size=2)),
            **dict.fromkeys((*SINGLE, "else", "unevaluatedProperties"), part),
            **dict.fromkeys(("properties", "dependentSchemas"), st.dictionaries(NAMES, part)),
        }
        return st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({keyword: keywords[keyword] for keyword in chosen})
        )

    return st.recursive(larger(st.just({})), larger, max_leaves=5)


def instances() -> st.SearchStrategy[Any]:
    """Draw arguments that have the names which schemas are drawn with."""
    names = NAMES | st.sampled_from(WORDS[:3])
    return st.dictionaries(
        names, json_values(3) | st.dictionaries(names, json_values(2), max_size=2), max_size=4
    )
