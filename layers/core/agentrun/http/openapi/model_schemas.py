"""The schemas of the domain's models, as their JSON is on the wire."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from agentrun.domain.agents import AgentTool
from agentrun.domain.approvals import ContinueRequest, ResolveRequest
from agentrun.domain.conversations import Message, Session
from agentrun.domain.events import (
    Metrics,
    PendingApproval,
    Start,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.media import MAX_MEDIA
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun
from agentrun.http.openapi.descriptions import FIELDS, SCHEMAS
from agentrun.service.run_result import RunResult

Json = dict[str, Any]

REF = "#/components/schemas/{model}"
REQUESTS = (RunRequest, ContinueRequest, ResolveRequest)
ANSWERS = (
    AgentRun,
    AgentTool,
    Message,
    Metrics,
    PendingApproval,
    RunResult,
    Session,
    Start,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)
# What a model is called in the document, where that is not its own name.
NAMES = {"Paused": "RequiredAction", "RunResult": "RunResponse"} | {
    event.__name__: f"{event.__name__}Data"
    for event in (Start, Stop, ToolEnd, ToolError, ToolStart)
}


_MIME_NAME = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
# What the models' own validators check. The white space is Python's, of which ECMA 262 has less.
_RULES: dict[str, Json] = {
    "RunRequest": {
        "allOf": [
            {
                "properties": {
                    "message": {"pattern": r"[^\s\x1c-\x1f\x85]"},
                    "media": {"maxItems": MAX_MEDIA},
                }
            }
        ],
    },
    "Media": {
        "allOf": [
            {"properties": {"type": {"pattern": rf"^[ \t]*{_MIME_NAME}/{_MIME_NAME}[ \t]*(;.*)?$"}}}
        ],
    },
    "ContinueRequest": {
        "oneOf": [
            {"properties": {"action": {"type": "string"}}, "required": ["action"]},
            {"properties": {"decisions": {"type": "array"}}, "required": ["decisions"]},
        ]
    },
    "Decision": {
        "not": {
            "properties": {"action": {"const": "REJECT"}, "arguments": {"type": "object"}},
            "required": ["action", "arguments"],
        }
    },
}


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that would only repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as it is called
        return False


def ref(name: str) -> Json:
    """Point to a schema of the document."""
    return {"$ref": REF.format(model=name)}


def model_schemas() -> dict[str, Json]:
    """Give the schemas of all requests and answers that are models, by their names on the wire."""
    found = {**_dumped(REQUESTS, "validation"), **_dumped(ANSWERS, "serialization")}
    # It goes out in another form: `paused_object`.
    del found["Paused"]
    return {NAMES.get(name, name): _described(name, schema) for name, schema in found.items()}


def _dumped(models: tuple[type[BaseModel], ...], mode: JsonSchemaMode) -> dict[str, Json]:
    _, document = models_json_schema(
        [(model, mode) for model in models], ref_template=REF, schema_generator=_Untitled
    )
    schemas: dict[str, Json] = document["$defs"]
    if mode == "serialization":
        for schema in schemas.values():
            _as_sent(schema)
    return schemas


def _as_sent(schema: Json) -> None:
    """What is None inside is absent on the wire, and which event it is stands around its data."""
    properties: dict[str, Json] = schema.get("properties", {})
    properties.pop("event", None)
    required = list(properties)
    for name, field in properties.items():
        alternatives = field.pop("anyOf", None)
        if alternatives is not None:
            (known,) = (found for found in alternatives if found != {"type": "null"})
            field.update(known)
            required.remove(name)
        field.pop("default", None)
        if name.endswith("At"):
            field["format"] = "date-time"
    if required:
        schema["required"] = required


def _described(model: str, schema: Json) -> Json:
    name = NAMES.get(model, model)
    # Closed inside; outside, a client has to expect fields that it does not know yet.
    schema.pop("additionalProperties", None)
    schema |= {"title": name, "description": SCHEMAS[name], **_RULES.get(name, {})}
    for field, text in FIELDS.get(name, {}).items():
        schema["properties"][field]["description"] = text
    for field in schema.get("properties", {}).values():
        if field.get("default", "") is None or isinstance(field.get("default"), dict):
            del field["default"]
        _rename(field)
    return schema


def _rename(node: Json | list[Any]) -> None:
    """Let references follow the names."""
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, dict | list):
            _rename(value)
    if isinstance(node, dict) and "$ref" in node:
        model = node["$ref"].rpartition("/")[2]
        node["$ref"] = REF.format(model=NAMES.get(model, model))
