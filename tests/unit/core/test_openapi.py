"""The OpenAPI document: valid, complete, and true to its own examples."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from agentrun.domain.events import EventType, ResetReason
from agentrun.domain.requests import RunRequest
from agentrun.http.openapi.document import FUNCTION_URL_PATHS, VERSION, openapi_document
from agentrun.http.openapi.schemas import EVENTS
from agentrun.http.problems import PROBLEMS, TITLES
from tests.openapi_document import DOCUMENT, Json, misfits, operations, resolved
from tests.translated_template import routes

ROOT = Path(__file__).resolve().parents[3]
OPERATIONS = list(operations())
NAMES = [operation["operationId"] for _, _, operation in OPERATIONS]
each_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)


def media_types(operation: Json) -> Iterator[tuple[str, Json]]:
    """Yield every body of an operation, and where it stands."""
    if "requestBody" in operation:
        for media_type in operation["requestBody"]["content"].values():
            yield "request", media_type
    for status, answer in operation["responses"].items():
        for media_type in resolved(answer).get("content", {}).values():
            yield status, media_type


def examples_of(node: Json) -> list[Any]:
    values = [example["value"] for example in node.get("examples", {}).values()]
    return [*values, node["example"]] if "example" in node else values


def test_the_document_is_valid_openapi_3_1() -> None:
    errors = [str(error) for error in OpenAPIV31SpecValidator(openapi_document()).iter_errors()]
    assert errors == []
    assert openapi_document()["openapi"].startswith("3.1.")


def test_its_schemas_are_valid_json_schema() -> None:
    for name, schema in openapi_document()["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_it_has_every_route_of_the_template_and_no_other() -> None:
    assert {(path, method) for path, method, _ in OPERATIONS} == set(routes())


def test_only_health_needs_no_token_and_only_a_stream_takes_a_ticket() -> None:
    own = {
        operation["operationId"]: operation["security"]
        for *_, operation in OPERATIONS
        if "security" in operation
    }
    assert own == {"health": [], "attachToRun": [{"bearer": []}, {"ticket": []}]}
    assert openapi_document()["security"] == [{"bearer": []}]


def test_operations_have_names_of_their_own() -> None:
    assert len(set(NAMES)) == len(NAMES)


@each_operation
def test_every_example_is_of_its_schema(path: str, method: str, operation: Json) -> None:
    for where, media_type in media_types(operation):
        for example in examples_of(media_type):
            assert misfits(media_type["schema"], example) == [], (path, method, where)
    for parameter in map(resolved, operation["parameters"]):
        for example in examples_of(parameter):
            assert misfits(parameter["schema"], example) == [], parameter["name"]


@each_operation
def test_every_answer_has_an_example(path: str, method: str, operation: Json) -> None:
    if operation["operationId"] != "getOpenApi":
        assert all(examples_of(media_type) for _, media_type in media_types(operation))


@each_operation
def test_every_parameter_of_a_path_is_described(path: str, method: str, operation: Json) -> None:
    parameters = [resolved(parameter) for parameter in operation["parameters"]]
    named = {found["name"] for found in parameters if found["in"] == "path"}
    assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_event_has_its_schema_and_an_example() -> None:
    assert {event.model_fields["event"].default for event in EVENTS} == set(EventType)
    stream = DOCUMENT["paths"][FUNCTION_URL_PATHS[0]]["post"]["responses"]["200"]
    shown = stream["content"]["text/event-stream"]["examples"]
    assert set(shown) == {str(event) for event in EventType}
    for event, example in shown.items():
        assert json.loads(example["value"]["data"])["event"] == event


def test_an_events_data_is_checked_too() -> None:
    data = json.dumps({"event": "STOP", "data": '{"runId":5,"status":"COMPLETED"}', "timestamp": 1})
    schema = {"$ref": "#/components/schemas/ServerSentEvent"}
    assert misfits(schema, {"id": "1", "data": data}) == ['5 is not of type "string"']
    assert misfits(schema, {"id": "0", "data": "{"}) != []


def test_every_problem_is_an_answer_of_some_operation() -> None:
    answered = {
        (int(status), example["type"].removeprefix("urn:problem-type:"))
        for *_, operation in OPERATIONS
        for status, answer in operation["responses"].items()
        for example in examples_of(
            resolved(answer).get("content", {}).get("application/problem+json", {})
        )
    }
    assert {kind for _, kind in answered} == set(TITLES)
    assert set(PROBLEMS.values()) <= answered


def test_a_problem_is_the_one_of_its_status() -> None:
    conflict = DOCUMENT["components"]["responses"]["Conflict"]
    media_type = conflict["content"]["application/problem+json"]
    assert misfits(media_type["schema"], {**media_type["example"], "status": 404}) != []


@pytest.mark.parametrize(
    ("schema", "body", "is_valid"),
    [
        ("RunRequest", {"message": "m"}, True),
        ("RunRequest", {"message": "m", "sessionId": None, "options": {}}, True),
        ("RunRequest", {"message": " \n\x1c\u2003"}, False),
        ("RunRequest", {"message": ""}, False),
        ("RunRequest", {"message": "m", "options": {"temperature": 2.1}}, False),
        ("ContinueRequest", {"action": "REJECT", "decisions": None}, True),
        ("ContinueRequest", {}, False),
        ("ContinueRequest", {"decisions": []}, False),
        (
            "ContinueRequest",
            {"action": "APPROVE", "decisions": [{"id": "a", "action": "APPROVE"}]},
            False,
        ),
        ("Decision", {"id": "a", "action": "REJECT", "arguments": None}, True),
        ("Decision", {"id": "a", "action": "REJECT", "arguments": {}}, False),
    ],
)
def test_the_schemas_of_requests_know_what_the_models_check(
    schema: str, body: Json, is_valid: bool
) -> None:
    found = openapi_document()["components"]
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": found}
    )
    assert validator.is_valid(body) == is_valid


def test_every_field_of_a_request_is_in_its_schema() -> None:
    fields = {field.alias for field in RunRequest.model_fields.values()}
    assert set(openapi_document()["components"]["schemas"]["RunRequest"]["properties"]) == fields


def test_nothing_of_the_inside_shows() -> None:
    # One reason of STEP_RESET has such a word in its name.
    text = json.dumps(openapi_document()).replace(ResetReason.EXECUTOR_LOST, "").lower()
    assert [
        word for word in ("dynamo", "lease_until", "executor", "pydantic") if word in text
    ] == []


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_the_rendered_copy_is_in_step() -> None:
    # `.venv/bin/python -m agentrun.http.openapi > docs/openapi.json`
    assert json.loads((ROOT / "docs/openapi.json").read_text()) == openapi_document()
