"""The operations of the function that executes runs."""

from agentrun.http.openapi.answers import (
    json_answer,
    nothing_left,
    refused,
    result_answer,
    stream_answer,
)
from agentrun.http.openapi.examples import examples
from agentrun.http.openapi.model_schemas import Json, ref
from agentrun.http.openapi.parameters import parameter

RUNS = "/api/agents/{agentId}/runs"
_ALWAYS = (400, 401, 403, 404, 405, 413, 429, 500, 503)
# API Gateway tells no method from a path that it does not have.
_REST_API_ONLY = tuple(status for status in _ALWAYS if status != 405)
_ASK = {"message": "What is 17 * 23?"}


def run_operations() -> dict[str, Json]:
    """Give the operations by path and method."""
    return {
        f"{RUNS}/stream": {"post": _stream()},
        RUNS: {"post": _run_once()},
        f"{RUNS}/{{runId}}/stream": {"get": _attach()},
        f"{RUNS}/{{runId}}/continue": {"post": _continue()},
        "/api/v1/approvals/{approvalId}/resolve": {"post": _resolve()},
    }


def _stream() -> Json:
    return {
        "operationId": "streamRun",
        "tags": ["runs"],
        "summary": "Run an agent and stream what happens",
        "description": "Needs the scope `runs:write`. The run outlives its client: attach to it "
        "again when the connection breaks, or send the same request with `Last-Event-ID`. A "
        "refusal comes before the first byte.",
        "parameters": [*_starting(), parameter("lastEventIdOfRequest")],
        "requestBody": _run_request(),
        "responses": {
            "200": stream_answer("The run as it happens."),
            "204": nothing_left(),
            **refused(*_ALWAYS, 409, 415),
        },
    }


def _run_once() -> Json:
    return {
        "operationId": "runOnce",
        "tags": ["runs"],
        "summary": "Run an agent and answer with its result",
        "description": "Needs the scope `runs:write`. 200 also for a run that is PAUSED or "
        "CANCELLED. For long runs prefer the stream.",
        "parameters": _starting(),
        "requestBody": _run_request(),
        "responses": {"200": result_answer(), **refused(*_ALWAYS, 409, 415, 502)},
    }


def _attach() -> Json:
    return {
        "operationId": "attachToRun",
        "tags": ["runs"],
        "summary": "Replay a run's events after a cursor, then follow it",
        "description": "Needs the scope `runs:read`. Any number of readers may attach.",
        "parameters": [
            *_run_named(),
            parameter("lastEventIdHeader"),
            parameter("lastEventIdQuery"),
        ],
        "responses": {
            "200": stream_answer("The events after the cursor.", replays=False),
            "204": {"description": "The run has ended, and nothing comes after the cursor."},
            **refused(*_ALWAYS),
        },
    }


def _continue() -> Json:
    body = {
        "approve": {"action": "APPROVE"},
        "reject": {"action": "REJECT", "reason": "Too expensive."},
        "change": {
            "decisions": [
                {
                    "id": "demo_1_1",
                    "action": "APPROVE",
                    "arguments": {"symbol": "AMZN", "side": "buy", "shares": 5},
                }
            ]
        },
    }
    streamed = stream_answer("What happens from now on; ids go on counting.", replays=False)
    result = result_answer()["content"]
    return {
        "operationId": "continueRun",
        "tags": ["runs"],
        "summary": "Decide a paused run's approvals and go on",
        "description": "Needs the scope `runs:write`. Answers once the run has ended, or streams "
        "where `Accept` names `text/event-stream`.",
        "parameters": _run_named(),
        "requestBody": _request("ContinueRequest", body),
        "responses": {
            "200": {
                **streamed,
                "content": {**streamed["content"], **result},
                "headers": {
                    # Only a stream is begun before it is known what the run gives.
                    name: {key: value for key, value in header.items() if key != "required"}
                    for name, header in streamed["headers"].items()
                },
            },
            **refused(*_ALWAYS, 409, 415, 502),
        },
    }


def _resolve() -> Json:
    body = {"approve": {"decision": "APPROVED"}, "reject": {"decision": "REJECTED"}}
    return {
        "operationId": "resolveApproval",
        "tags": ["runs"],
        "summary": "Decide all calls of an approval, and answer at once",
        "description": "Needs the scope `runs:write`. The run goes on after the answer. REST API "
        "only.",
        "parameters": [parameter("approvalId")],
        "requestBody": _request("ResolveRequest", body),
        "responses": {
            "200": json_answer(
                "The run, which goes on.", ref("AgentRun"), examples()["resumedRun"]
            ),
            **refused(*_REST_API_ONLY, 409, 415),
        },
    }


def _starting() -> list[Json]:
    names = ("agentId", "idempotencyKey", "sessionPolicy")
    return [parameter(name) for name in names]


def _run_named() -> list[Json]:
    return [parameter("agentId"), parameter("runId")]


def _run_request() -> Json:
    whole = {
        **_ASK,
        "sessionId": "04bf2261-141b-4909-8015-68e71dd86171",
        "generateFollowups": True,
        "options": {"model": "demo", "temperature": 0.2, "maxTokens": 1000},
    }
    return _request("RunRequest", {"short": _ASK, "whole": whole})


def _request(schema: str, bodies: Json) -> Json:
    """At most 6 MiB of strict JSON: `json_body.py` says what that is."""
    values = {name: {"value": body} for name, body in bodies.items()}
    return {
        "required": True,
        "description": "At most 6 MiB of JSON in UTF-8, without duplicate names, halves of "
        "surrogate pairs, or more than 64 levels.",
        "content": {"application/json": {"schema": ref(schema), "examples": values}},
    }
