"""The client's models know every field that the API's description has, and its types."""

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from agentrun_client import InvalidParam, Problem, events
from agentrun_client.following.decoding import decode_event
from agentrun_client.models import actions, agents, approvals, requests, runs, sessions
from agentrun_client.wire.reading import read_as, wire_name

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text())["components"][
    "schemas"
]
MODELS: dict[str, Any] = {
    "Agent": agents.Agent,
    "AgentRun": runs.Run,
    "AgentTool": agents.AgentTool,
    "Approval": approvals.Approval,
    "Message": sessions.Message,
    "Metrics": runs.Figures,
    "PendingApproval": actions.PendingCall,
    "QueuedRun": runs.QueuedRun,
    "RequiredAction": actions.RequiredAction,
    "RunResponse": runs.RunResult,
    "Session": sessions.Session,
    "SessionWithMessages": sessions.Session,
    "StreamTicket": runs.StreamTicket,
    "ToolCall": runs.ToolCall,
}
SENT: dict[str, Any] = {
    "Budget": actions.Budget,
    "Decision": actions.Decision,
    "Media": requests.Media,
    "RunOptions": requests.RunOptions,
    "Webhook": requests.Webhook,
}
EVENTS: dict[str, Any] = {
    "StartData": events.Start,
    "StepResetData": events.StepReset,
    "StopData": events.Stop,
    "ToolStartData": events.ToolStart,
    "ToolEndData": events.ToolEnd,
    "ToolErrorData": events.ToolError,
    "Metrics": events.Metrics,
}
RENAMED = {"RunResponse.content": "text", "ToolStartData.id": "call_id"}
RENAMED |= {"ToolEndData.id": "call_id", "ToolErrorData.id": "call_id"}
LEFT_OUT = {
    # The same as `id`, and what older clients read.
    "Agent": {"agentId", "isTeam", "is_team"},
    "Session": {"sessionId"},
    "SessionWithMessages": {"sessionId"},
    # They repeat the first of `approvals`.
    "RequiredAction": {"tool", "toolName", "arguments"},
    # The event is its name.
    "StopData": {"status"},
}
# Each of these has a test of its own, or is read by hand.
ELSEWHERE = {
    "AgentStreamEvent", "ApprovalAction", "ApprovalPage", "ApprovalStatus", "ContinueRequest",
    "Health", "InvalidParam", "JsonValue", "PauseType", "Problem", "ResetReason", "ResolveRequest",
    "RunPage", "RunRequest", "RunStatus", "ServerSentEvent", "SessionPage",
}  # fmt: skip
LITERALS: dict[str, Any] = {
    "ApprovalStatus": approvals.ApprovalStatus,
    "PauseType": actions.PauseType,
    "ResetReason": events.ResetReason,
    "RunStatus": runs.RunStatus,
    "ApprovalAction": actions.Action,
}
ALL = [*MODELS.items(), *SENT.items(), *EVENTS.items()]


def test_every_schema_has_its_place_in_the_client() -> None:
    told_by_events = {f"{name}Event" for name in events_named()}
    assert set(SCHEMAS) == {*MODELS, *SENT, *EVENTS, *ELSEWHERE, *told_by_events}


def events_named() -> list[str]:
    mapping = SCHEMAS["AgentStreamEvent"]["discriminator"]["mapping"]
    return ["".join(word.capitalize() for word in name.split("_")) for name in mapping]


@pytest.mark.parametrize(("name", "model"), ALL)
def test_a_model_has_the_fields_of_its_schema(name: str, model: Any) -> None:
    hints = get_type_hints(model)
    by_wire_name = {wire_name(field.name): field.name for field in fields(model)}
    for on_wire, schema in SCHEMAS[name]["properties"].items():
        if on_wire in LEFT_OUT.get(name, ()):
            continue
        field = RENAMED.get(f"{name}.{on_wire}") or by_wire_name.get(on_wire)
        assert field is not None, f"{name}.{on_wire} is not in {model.__name__}"
        assert fits(hints[field], schema), f"{name}.{on_wire}: {schema} is not {hints[field]}"


@pytest.mark.parametrize(("name", "model"), MODELS.items())
def test_what_may_be_absent_has_a_default(name: str, model: Any) -> None:
    required = {
        RENAMED.get(f"{name}.{on_wire}", on_wire) for on_wire in SCHEMAS[name].get("required", ())
    }
    for field in fields(model):
        if wire_name(field.name) not in required and field.name not in required:
            assert field.default is not MISSING, f"{model.__name__}.{field.name} has no default"


@pytest.mark.parametrize(("name", "literal"), LITERALS.items())
def test_a_set_of_names_is_the_schemas(name: str, literal: Any) -> None:
    assert list(get_args(literal)) == SCHEMAS[name]["enum"]


def test_every_event_is_decoded_to_a_type_of_its_own() -> None:
    said = '{{"event":"{}","data":"{{\\"toEventId\\":1}}","timestamp":1}}'
    names = SCHEMAS["AgentStreamEvent"]["discriminator"]["mapping"]
    decoded = [decode_event(1, said.format(name)) for name in names]
    assert [event.event for event in decoded] == list(names)
    known = {*map(type, decoded), events.UnknownEvent}
    assert known == set(get_args(events.RunEvent))


def test_a_problem_is_known_with_all_its_fields() -> None:
    known = {wire_name(field.name) for field in fields(Problem)}
    # The request's own path says nothing new, and `Retry-After` is a header.
    assert set(SCHEMAS["Problem"]["properties"]) - {"instance"} == known - {"retryAfter"}
    assert {wire_name(field.name) for field in fields(InvalidParam)} == set(
        SCHEMAS["InvalidParam"]["properties"]
    )


def fits(hint: Any, schema: dict[str, Any]) -> bool:  # noqa: PLR0911 - one for each kind
    """Tell whether a type takes all that a schema allows."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in LITERALS:
            return bool(literal_of(hint) == LITERALS[name])
        model = MODELS.get(name, SENT.get(name))
        return name == "JsonValue" or any(part is model for part in parts_of(hint))
    if "anyOf" in schema:
        return all(fits(hint, each) for each in schema["anyOf"])
    if "enum" in schema:
        return get_args(literal_of(hint)) == tuple(schema["enum"])
    match schema["type"]:
        case "array":
            (item,) = (get_args(part)[0] for part in parts_of(hint) if get_args(part))
            return fits(item, schema["items"])
        case "null":
            return type(None) in parts_of(hint)
        case "object":
            return any(get_origin(part) is dict for part in parts_of(hint))
        case "string" if schema.get("format") == "date-time":
            return datetime in parts_of(hint)
        case kind:
            return PLAIN[kind] in parts_of(hint)


PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}


def parts_of(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def literal_of(hint: Any) -> Any:
    return next((part for part in parts_of(hint) if get_origin(part) is Literal), None)


def test_the_documented_examples_are_read() -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    read = 0
    for path in document["paths"].values():
        for operation in path.values():
            answers = operation.get("responses", {}) if isinstance(operation, dict) else {}
            for answer in answers.values():
                for content in answer.get("content", {}).values():
                    schema, example = content.get("schema", {}), content.get("example")
                    is_array = schema.get("type") == "array"
                    schema = schema["items"] if is_array else schema
                    name = schema.get("$ref", "").rpartition("/")[2]
                    if name in MODELS and name != "RunResponse" and example is not None:
                        for each in example if is_array else [example]:
                            assert is_dataclass(read_as(MODELS[name], each))
                            read += 1
    assert read > 5
