"""Whatever schema a server sends, providers take what is made of it, and the way back holds."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from pydantic_ai import ToolDefinition
from pydantic_ai.exceptions import UserError
from pydantic_ai.profiles import InlineDefsJsonSchemaTransformer
from pydantic_ai.profiles.google import GoogleJsonSchemaTransformer
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer
from pydantic_ai.providers.bedrock import BedrockJsonSchemaTransformer

from agent_catalog.binding.parameters import ToolParameters
from agent_catalog.binding.schema import UnusableSchemaError, map_schemas, read_schema, resolve
from tests.bedrock.tool_rules import tool_faults
from tests.mcp_server.odd_json import (
    LISTS,
    MAPS,
    NAMES,
    OTHERS,
    SINGLE,
    instances,
    json_values,
    schemas,
    valid_schemas,
)

thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TRANSFORMERS = (
    BedrockJsonSchemaTransformer,
    InlineDefsJsonSchemaTransformer,
    OpenAIJsonSchemaTransformer,
    GoogleJsonSchemaTransformer,
)
ANY = schemas().map(lambda drawn: {**drawn, "type": "object"}) | schemas() | json_values()


def parameters(sent: Any) -> ToolParameters:
    """Read a schema that can be used; the one planned error discards the draw."""
    try:
        return ToolParameters.of(sent)
    except UnusableSchemaError:
        assume(False)
        raise


def faults(schema: object) -> list[str]:
    spec = {"name": "echo", "description": "Echoes.", "inputSchema": {"json": schema}}
    return tool_faults({"toolConfig": {"tools": [{"toolSpec": spec}]}})


@thorough
@given(ANY)
def test_bedrock_takes_any_schema_that_is_one_of_an_object(sent: Any) -> None:
    assert faults(parameters(sent).schema) == []


@thorough
@given(ANY)
def test_the_librarys_readers_of_schemas_fail_in_no_other_way_than_they_say(sent: Any) -> None:
    shown = parameters(sent).schema
    for transformer in TRANSFORMERS:
        try:
            made = transformer(shown, strict=None).walk()
        except UserError:
            # A recursive reference, which cannot be inlined.
            assert "$ref" in json.dumps(shown)
        else:
            json.dumps(made, allow_nan=False)


@thorough
@given(ANY)
def test_reading_is_repeatable_and_leaves_nothing_to_change(sent: Any) -> None:
    shown = parameters(sent)
    own = read_schema(sent)
    assert read_schema(own) == own
    assert ToolParameters.of(own).schema == shown.schema


@thorough
@given(valid_schemas(), instances())
def test_what_a_valid_schema_takes_the_read_one_takes(sent: Any, instance: Any) -> None:
    sent["type"] = "object"
    jsonschema_rs.meta.validate(sent)
    if jsonschema_rs.Draft202012Validator(sent).is_valid(instance):
        assert jsonschema_rs.Draft202012Validator(read_schema(sent)).is_valid(instance)


@thorough
@given(ANY, instances())
def test_any_arguments_become_an_object(sent: Any, called: Any) -> None:
    assert isinstance(parameters(sent).arguments(called), dict)


def objects(depth: int = 2) -> st.SearchStrategy[Any]:
    """Draw valid schemas of objects within objects and lists."""
    inner = objects(depth - 1) if depth else st.just({"type": "string"})
    listed = inner.map(lambda items: {"type": "array", "items": items})
    either = inner.map(lambda part: {"anyOf": [{"type": "null"}, part]})
    return st.dictionaries(NAMES, inner | listed | either, max_size=3).map(
        lambda properties: {"type": "object", "properties": properties}
    )


def sample(schema: Any) -> Any:
    """Return arguments that have every property of a schema, each told apart by its place."""
    match schema:
        case {"properties": properties}:
            return {name: sample(part) for name, part in properties.items()}
        case {"items": items}:
            return [sample(items), 7]
        case {"anyOf": [_, part]}:
            return sample(part)
    return "leaf"


@thorough
@given(objects())
def test_arguments_as_the_model_is_shown_them_become_the_servers_own(sent: Any) -> None:
    shown = parameters(sent)
    own, called = sample(sent), sample(shown.schema)
    assert shown.arguments(called) == own
    assert count(own) == count(called)
    assert all(re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name) for name in names(called))


def names(value: Any) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from value if isinstance(value, dict) else ()
    for part in inner:
        yield from names(part)


def count(value: Any) -> int:
    return len([*names(value)])


def test_names_are_restored_where_the_schema_has_them_and_nowhere_else() -> None:
    dollar: Any = {"properties": {"$x": {"$ref": "#"}}}
    sent: Any = {
        "type": "object",
        "properties": {
            "free": {"type": "object"},
            "list": {"type": "array", "prefixItems": [dollar], "items": {"type": "object"}},
            "either": {"oneOf": [{"type": "string"}, dollar]},
            "map": {"type": "object", "additionalProperties": dollar},
            "defined": {"$ref": "#/$defs/Dollar"},
            "$x": {"type": "object"},
        },
        "$defs": {"Dollar": dollar},
    }
    shown: JsonValue = {"x": 1}
    own: JsonValue = {"$x": 1}
    called: dict[str, JsonValue] = {
        "free": shown,
        "list": [shown, shown],
        "either": shown,
        "map": {"x": shown},
        "defined": {"x": {"defined": shown}},
        "x": shown,
    }
    assert ToolParameters.of(sent).arguments(called) == {
        "free": shown,
        "list": [own, shown],
        "either": own,
        "map": {"x": own},
        "defined": {"$x": {"defined": own}},
        "$x": shown,
    }


def test_what_is_said_of_properties_by_name_follows_their_new_names() -> None:
    sent: Any = {
        "type": "object",
        "properties": {"$a": {"title": "A"}, "b": {"$ref": "#/properties/%24a"}},
        "required": ["$a"],
        "dependentRequired": {"$a": ["b"], "b": ["$a"]},
        "dependentSchemas": {"$a": {"required": ["$a"]}},
        "propertyNames": {"enum": ["$a", "b"]},
    }
    assert ToolParameters.of(sent).schema == {
        "type": "object",
        "properties": {
            "a": {"title": "A", "description": "The tool's own name for it is $a."},
            "b": {"$ref": "#/properties/a"},
        },
        "required": ["a"],
        "dependentRequired": {"a": ["b"], "b": ["a"]},
        "dependentSchemas": {"a": {"required": ["a"]}},
    }


@pytest.mark.parametrize(
    ("called", "passed"),
    [
        ({"arguments": {"id": 1}}, {"id": 1}),
        ({"arguments": '{"id": 1}'}, {"id": 1}),
        ({"arguments": {"id": 1}, "slug": 2}, {"slug": 2, "id": 1}),
        ({"id": 1}, {"id": 1}),
        ({"arguments": "id"}, {"arguments": "id"}),
        ({"arguments": [1]}, {"arguments": [1]}),
        ({}, {}),
    ],
)
def test_a_model_may_miss_the_wrapper(
    called: dict[str, JsonValue], passed: dict[str, JsonValue]
) -> None:
    sent: Any = {"type": "object", "anyOf": [{"required": ["id"]}, {"required": ["slug"]}]}
    assert ToolParameters.of(sent).arguments(called) == passed


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "array"}, "must be one of the following: object"),
        ({"type": "object", "anyOf": [{}]}, "at the top level"),
        ({"type": "object", "properties": []}, "draft 2020-12"),
        ({"type": "object", "properties": {"$a": {}}}, "should match pattern"),
        ({"type": "object", "$defs": {"properties": {"properties": {"$a": {}}}}}, "match pattern"),
    ],
)
def test_the_stand_in_for_bedrock_refuses_what_is_sent_unread(schema: Any, fault: str) -> None:
    (found,) = faults(schema)
    assert fault in found
    assert faults({"type": "object", "$defs": {"properties": {"$a": {}}}}) == []


def test_a_wrapper_has_a_name_that_the_tool_does_not_use() -> None:
    sent: Any = {"properties": {"arguments": {"type": "object"}}, "anyOf": [{}]}
    shown = ToolParameters.of(sent)
    (name,) = dict[str, Any](shown.schema["properties"])  # type: ignore[arg-type]
    assert name != "arguments"
    assert shown.arguments({"arguments": {"a": 1}}) == {"arguments": {"a": 1}}
    assert shown.arguments({str(name): {"arguments": {"a": 1}}}) == {"arguments": {"a": 1}}


def test_references_still_lead_to_the_same_once_a_schema_is_wrapped() -> None:
    sent: Any = {
        "type": "object",
        "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/$defs/B"}, "c": {"$ref": "#/anyOf/0"}},
        "anyOf": [{"required": ["a"]}],
        "$defs": {"B": {"type": "string"}},
    }
    shown = ToolParameters.of(sent).schema
    inner: Any = resolve("#/properties/arguments", shown)
    found = {name: resolve(part["$ref"], shown) for name, part in inner["properties"].items()}
    assert found == {"a": inner, "b": {"type": "string"}, "c": {"required": ["a"]}}


KEYWORDS = sorted(
    {
        *(*SINGLE, *LISTS, *MAPS, *OTHERS, "$ref", "$defs", "else", "contentSchema", "minLength"),
        *("maxItems", "minContains", "maxContains", "minProperties", "maxProperties", "maximum"),
        *("exclusiveMaximum", "writeOnly", "deprecated", "contentEncoding", "unevaluatedItems"),
        *("$recursiveRef", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "id"),
    }
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1.5, "", "a", "#", [], ["a"], ["a", "a"], [None], [{}], [-1]),
    *({}, {"a": None}, {"a": ["a", "a"]}, {"a": "string"}, {"$x": {"a": 1}}),
)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_no_value_of_a_keyword_makes_a_schema_that_is_refused(keyword: str) -> None:
    for value in VALUES:
        part: Any = {keyword: value}
        below: Any = {"properties": {"a": part, "b": {"not": part}}}
        for sent in (part, below):
            if keyword != "type" or sent is not part:
                assert faults(ToolParameters.of(sent).schema) == [], value


@pytest.mark.parametrize("keyword", ["items", "not", "default", "const", "x-unknown"])
def test_what_is_nested_too_deeply_is_left_out(keyword: str) -> None:
    deep: Any = {}
    for _ in range(90):
        deep = {keyword: deep}
    shown = ToolParameters.of({"type": "object", "properties": {"a": deep}})
    assert json.dumps(shown.schema).count("{") < 60
    assert faults(shown.schema) == []
    definition = ToolDefinition(name="echo", parameters_json_schema=shown.schema)
    assert definition.parameters_json_schema == map_schemas(shown.schema, lambda part: part)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("string", "its schema is no object"),
        ([{}], "its schema is no object"),
        (True, "its schema is no object"),
        ({"type": "array"}, "its arguments are no object"),
        ({"type": ["string", "null"]}, "its arguments are no object"),
    ],
)
def test_a_schema_of_no_object_is_refused(sent: JsonValue, reason: str) -> None:
    with pytest.raises(UnusableSchemaError, match=reason):
        ToolParameters.of(sent)
