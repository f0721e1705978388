"""The schemas of the document, generated from the classes of requests and answers."""

import inspect
import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from agentrun.domain import events
from agentrun.domain.approvals import ContinueRequest, ResolveRequest
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun
from agentrun.domain.value import Value
from agentrun.http.bodies import (
    AgentBody,
    ApprovalBody,
    ApprovalPageBody,
    HealthBody,
    QueuedBody,
    RunPageBody,
    SessionPageBody,
    SessionWithMessages,
    TicketBody,
)
from agentrun.http.problems import Problem
from agentrun.http.sse import RequiredAction
from agentrun.service.reading.result import RunResult

Json = dict[str, Any]

EVENTS: tuple[type[Value], ...] = get_args(get_args(events.RunEvent)[0])
EVENT_DATA: Mapping[type[Value], str] = {
    events.Start: "StartData",
    events.ToolStart: "ToolStartData",
    events.ToolEnd: "ToolEndData",
    events.ToolError: "ToolErrorData",
    events.StepReset: "StepResetData",
    events.Metrics: "Metrics",
    events.Stop: "StopData",
    events.Paused: "RequiredAction",
}
"""The schemas of events whose `data` is JSON; the `data` of any other event is plain text."""

_REQUESTS = (RunRequest, ContinueRequest, ResolveRequest)
_ANSWERS = (
    *(event for event in EVENT_DATA if event is not events.Paused),
    AgentBody,
    AgentRun,
    ApprovalBody,
    ApprovalPageBody,
    HealthBody,
    Problem,
    QueuedBody,
    RequiredAction,
    RunPageBody,
    RunResult,
    SessionPageBody,
    SessionWithMessages,
    TicketBody,
)
_REF = "#/components/schemas/{model}"
# Names in the document that are not the classes' own.
_NAMES = {event.__name__: name for event, name in EVENT_DATA.items()} | {
    "AgentBody": "Agent",
    "ApprovalBody": "Approval",
    "ApprovalPageBody": "ApprovalPage",
    "HealthBody": "Health",
    "PendingCall": "PendingApproval",
    "QueuedBody": "QueuedRun",
    "RunPageBody": "RunPage",
    "RunResult": "RunResponse",
    "SessionBody": "Session",
    "SessionPageBody": "SessionPage",
    "TicketBody": "StreamTicket",
}


def ref(name: str) -> Json:
    """Point to a schema of the document."""
    return {"$ref": _REF.format(model=name)}


def schema_of(annotation: object) -> Json:
    """Return the schema of a parameter that FastAPI reads; None only means that it is absent."""
    adapter = TypeAdapter[Any](annotation)
    return adapter.json_schema(schema_generator=_Wire, mode="serialization")


def schemas() -> dict[str, Json]:
    """Return every schema by its name."""
    return dict(sorted((_generated() | _event_schemas()).items()))


class _Wire(GenerateJsonSchema):
    """Describes what is on the wire: a field that is None inside is absent from answers."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as it is called
        """Leave out titles that would only repeat the fields' names."""
        return False

    def field_is_present(self, field: Any) -> bool:
        """Leave out the event's type, which is outside of its data."""
        is_event = isinstance(field["schema"].get("default"), events.EventType)
        return super().field_is_present(field) and not is_event

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Require every field of an answer that cannot be None."""
        if self.mode == "validation" or field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        schema = field["schema"]
        while "schema" in schema and schema["type"] != "nullable":
            schema = schema["schema"]
        return bool(schema["type"] != "nullable")

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        """Allow null in requests only."""
        if self.mode == "serialization":
            return self.generate_inner(schema["schema"])
        return super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        """Leave out the defaults of answers, and those that only mean that nothing was given."""
        default = schema.get("default")
        if self.mode == "serialization" or default is None or isinstance(default, Value):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def _generated() -> dict[str, Json]:
    wanted: list[tuple[object, JsonSchemaMode]] = [(model, "validation") for model in _REQUESTS]
    wanted += [(model, "serialization") for model in _ANSWERS]
    _, found = TypeAdapter.json_schemas(
        [(model, mode, TypeAdapter(model)) for model, mode in wanted],
        ref_template=_REF,
        schema_generator=_Wire,
    )
    defined: dict[str, Json] = found["$defs"]
    defined["JsonValue"]["description"] = "Any JSON."
    # A pause has another shape on the wire, which takes its name.
    del defined["Paused"]
    text = json.dumps(defined)
    for name, shown in _NAMES.items():
        text = text.replace(json.dumps(ref(name)["$ref"]), json.dumps(ref(shown)["$ref"]))
    named = {_NAMES.get(name, name): schema for name, schema in json.loads(text).items()}
    return {name: _open(name, schema) for name, schema in named.items()}


def _open(name: str, schema: Json) -> Json:
    """
    Describe a class by its docstring (KeyError without one), open to fields yet to come.

    Inside, classes are closed; clients have to expect fields that they do not know.
    """
    schema.pop("additionalProperties", None)
    return {**schema, "title": name, "description": _summary(schema["description"])}


def _summary(docstring: str) -> str:
    return docstring.partition("\n\n")[0].replace("\n", " ")


def _event_schemas() -> dict[str, Json]:
    found = {f"{event.__name__}Event": _event_schema(event) for event in EVENTS}
    mapping = {str(_type_of(event)): ref(f"{event.__name__}Event")["$ref"] for event in EVENTS}
    found["AgentStreamEvent"] = {
        "description": "One thing that happened in a run. `data` is always a string; where it "
        "holds an object, it is that object's JSON. Ignore events that you do not know.",
        "oneOf": [ref(name) for name in found],
        "discriminator": {"propertyName": "event", "mapping": mapping},
    }
    sequence = {
        "description": "Counts from 1, per run. It jumps where what executed the run was lost; "
        "nothing is missing there.",
        "type": "string",
        "pattern": "^[1-9][0-9]*$",
    }
    found["ServerSentEvent"] = _object(
        "One event of a stream (HTML standard, “Server-sent events”): an `id:` line and a `data:` "
        "line. There is no `event:` line. `retry: 1000` comes once, as a line of the first "
        "event, and the comment `: ping`, without an empty line, while nothing happens.",
        {"id": sequence, "data": _json_text("AgentStreamEvent")},
    )
    return found


def _type_of(event: type[Value]) -> events.EventType:
    return events.EventType(event.model_fields["event"].default)


def _event_schema(event: type[Value]) -> Json:
    properties = {
        "event": {"const": str(_type_of(event))},
        "data": _json_text(EVENT_DATA[event]) if event in EVENT_DATA else {"type": "string"},
        "timestamp": {"description": "Milliseconds since the Unix epoch.", "type": "integer"},
    }
    return _object(_summary(inspect.getdoc(event) or ""), properties)


def _json_text(name: str) -> Json:
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": ref(name)}


def _object(description: str, properties: dict[str, Json]) -> Json:
    required = list(properties)
    kept = {"properties": properties, "required": required}
    return {"type": "object", "description": description, **kept}
