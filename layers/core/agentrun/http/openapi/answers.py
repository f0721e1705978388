"""What operations answer: results, streams, and every refusal; with examples from a real stack."""

import json
from functools import cache
from pathlib import Path

from agentrun.http.openapi.schemas import Json, ref
from agentrun.http.problems import STATUSES

# When each type of problem is answered.
_REFUSALS = {
    "invalid-request": "A rule of the API is broken.",
    "unauthorized": "No token, or one that does not verify; or a ticket that does not hold.",
    "forbidden": "The token lacks a scope, or is for another organisation or user.",
    "resource-not-found": "Nothing there that the caller may see.",
    "method-not-allowed": "The Function URL's answer to other methods; the REST API says 404.",
    "conflict": "The session is busy, the run not paused, or the `Idempotency-Key` of another "
    "request.",
    "payload-too-large": "A body over 6 MiB, or media over their limits.",
    "unsupported-media-type": "The body is not said to be JSON in UTF-8.",
    "too-many-runs": "Too many runs under way or begun, readers of a user's runs, or requests at "
    "once.",
    "internal-error": "A defect on our side.",
    "run-failed": "The run that was waited for has failed.",
    "unavailable": "The store or a function cannot answer just now, or the run that was waited for "
    "goes on.",
}
NAMES = {STATUSES[kind]: kind.title().replace("-", "") for kind in _REFUSALS}
_RETRY_AFTER: Json = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_REFUSAL_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    405: {"Allow": {"required": True, "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
_ID: Json = {"required": True, "schema": {"type": "string"}}
RUN_HEADERS: Json = {
    "X-Run-Id": {"description": "The run.", **_ID},
    "X-Session-Id": {"description": "Its conversation.", **_ID},
}
REPLAYED: Json = {
    "Idempotent-Replayed": {
        "description": "The request has led to a run that it had started before.",
        "schema": {"const": "true"},
    }
}


@cache
def examples() -> Json:
    """Return examples by name: `run`, `result`, …; `events` by type, `problems` by name."""
    found: Json = json.loads(Path(__file__).with_name("examples.json").read_text())
    return found


def refusals() -> dict[str, Json]:
    """Return every answer that is a problem, by its name."""
    return {NAMES[STATUSES[kind]]: _refusal(kind, when) for kind, when in _REFUSALS.items()}


def _refusal(kind: str, description: str) -> Json:
    status, example = STATUSES[kind], examples()["problems"][kind]
    exactly = {"type": {"const": f"urn:problem-type:{kind}"}, "status": {"const": status}}
    schema = {"allOf": [ref("Problem"), {"properties": exactly}]}
    answer: Json = {
        "description": description,
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    }
    headers = _REFUSAL_HEADERS.get(status)
    return {**answer, "headers": headers} if headers else answer


def json_answer(description: str, schema: Json, example: object, **named: object) -> Json:
    """Answer with one JSON body; `named` are further examples."""
    shown: Json = {"example": example}
    if named:
        values = {"usual": example, **named}
        shown = {"examples": {name: {"value": value} for name, value in values.items()}}
    content = {"application/json": {"schema": schema, **shown}}
    return {"description": description, "content": content}


def list_answer(description: str, name: str, example: object) -> Json:
    """Answer with an array of one schema."""
    return json_answer(description, {"type": "array", "items": ref(name)}, example)


def result_answer() -> Json:
    """Answer with a run's result."""
    answer = json_answer("The run's result.", ref("RunResponse"), examples()["result"])
    return {**answer, "headers": REPLAYED}


def stream_answer(description: str, *, replays: bool = True) -> Json:
    """Answer with a run's events; `replays` if the request may have been made before."""
    shown = {event: {"value": value} for event, value in examples()["events"].items()}
    return {
        "description": f"{description} The schema is that of one event, since "
        "OpenAPI 3.1 has no word for a sequence of them. Its `data` is JSON of the schema named "
        "there, and so may be the `data` inside of that.",
        "headers": RUN_HEADERS | (REPLAYED if replays else {}),
        "content": {"text/event-stream": {"schema": ref("ServerSentEvent"), "examples": shown}},
    }
