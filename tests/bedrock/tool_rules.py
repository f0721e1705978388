"""
What Bedrock refuses in a request's `toolConfig`.

The pattern of a tool's name is botocore's own. What Anthropic's models refuse beyond it is known
from public reports: makenotion/notion-mcp-server#340 (combinators), aws-solutions-library-samples/
accelerated-intelligent-document-processing-on-aws#709 (names of properties), kintone/mcp-server#547
(JSON Schema 2020-12), cloudwego/eino#632 (names that are not unique). That the check of names is
for the top level only is one report's; here it is for all levels.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
import jsonschema_rs
from botocore.model import StructureShape

_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_COMBINATORS = ("oneOf", "allOf", "anyOf")
_SCHEMAS = {*_COMBINATORS, "items", "prefixItems", "contains", "not", "if", "then", "else"} | {
    *("additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames")
}
_NAMED_SCHEMAS = {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}


def tool_faults(request: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the tools of a Converse request; nothing where Bedrock takes it."""
    tools = request.get("toolConfig", {}).get("tools", [])
    specs = [tool["toolSpec"] for tool in tools if "toolSpec" in tool]
    faults = [
        f"tools.{number}.{fault}"
        for number, spec in enumerate(specs)
        if (fault := _fault(spec)) is not None
    ]
    if len({spec["name"] for spec in specs}) < len(specs):
        faults.append("tools: Tool names must be unique.")
    return faults


def _fault(spec: Mapping[str, Any]) -> str | None:
    name, schema = spec["name"], spec["inputSchema"]["json"]
    if len(name) > _name_rule()["max"] or not re.fullmatch(_name_rule()["pattern"], name):
        return f"toolSpec.name: Member must satisfy {_name_rule()}"
    if not spec.get("description", "described").strip():
        return "toolSpec.description: text is blank"
    return _schema_fault(schema)


def _schema_fault(schema: Mapping[str, Any]) -> str | None:
    if schema.get("type") != "object":
        return "toolSpec.inputSchema.json.type must be one of the following: object."
    if any(keyword in schema for keyword in _COMBINATORS):
        return "input_schema does not support oneOf, allOf, or anyOf at the top level"
    try:
        # As it is on the wire, where NaN and the like are no JSON.
        jsonschema_rs.meta.validate(json.loads(json.dumps(schema, allow_nan=False)))
    except ValueError:
        return "input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12"
    for key in _properties(schema):
        if not _PROPERTY.fullmatch(key):
            return f"input_schema.properties: Property keys should match pattern: {key}"
    return None


def _properties(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _properties(item)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        for keyword in _SCHEMAS & schema.keys():
            yield from _properties(schema[keyword])
        for keyword in _NAMED_SCHEMAS & schema.keys():
            yield from _properties([*schema[keyword].values()])


@cache
def _name_rule() -> dict[str, Any]:
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = model.shape_for("ToolSpecification")
    assert isinstance(shape, StructureShape)
    rule: dict[str, Any] = shape.members["name"].metadata
    return rule
