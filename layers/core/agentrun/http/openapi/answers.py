"""What operations answer: streams, JSON, and problems."""

from collections.abc import Iterable

from agentrun.domain.events import EventType
from agentrun.http.openapi.examples import examples
from agentrun.http.openapi.model_schemas import Json, ref

# Status, problem type and when it comes, by the answer's name in the document.
REFUSALS: dict[str, tuple[int, str, str]] = {
    "InvalidRequest": (400, "invalid-request", "A rule of the API is broken."),
    "Unauthorized": (401, "unauthorized", "No token, or one that does not verify."),
    "Forbidden": (
        403,
        "forbidden",
        "The token lacks a scope, or is for another organisation or user.",
    ),
    "NotFound": (404, "resource-not-found", "Nothing there that the caller may see."),
    "MethodNotAllowed": (
        405,
        "method-not-allowed",
        "The Function URL's answer to other methods; the REST API says 404.",
    ),
    "Conflict": (
        409,
        "conflict",
        "The session is busy, the run not paused, or the `Idempotency-Key` of another request.",
    ),
    "PayloadTooLarge": (413, "payload-too-large", "A body over 6 MiB, or media over their limits."),
    "UnsupportedMediaType": (
        415,
        "unsupported-media-type",
        "The body is not said to be JSON in UTF-8.",
    ),
    "TooManyRequests": (
        429,
        "too-many-runs",
        "Too many runs under way or begun, readers of a user's runs, or requests at once.",
    ),
    "InternalError": (500, "internal-error", "A defect on our side."),
    "RunFailed": (502, "run-failed", "The run that was waited for has failed."),
    "Unavailable": (503, "unavailable", "The store or a function cannot answer just now."),
}
_BY_STATUS = {status: name for name, (status, _, _) in REFUSALS.items()}
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
_RUN_HEADERS: Json = {
    "X-Run-Id": {"description": "The run.", "required": True, "schema": {"type": "string"}},
    "X-Session-Id": {
        "description": "Its conversation.",
        "required": True,
        "schema": {"type": "string"},
    },
}
_REPLAYED: Json = {
    "Idempotent-Replayed": {
        "description": "The request has led to a run that it had started before.",
        "schema": {"const": "true"},
    }
}


def refusals() -> dict[str, Json]:
    """Give every answer that is a problem, by its name."""
    return {name: _refusal(*found) for name, found in REFUSALS.items()}


def refused(*statuses: int) -> Json:
    """Give the answers of an operation that may be refused with these statuses."""
    return {
        str(status): {"$ref": f"#/components/responses/{_BY_STATUS[status]}"} for status in statuses
    }


def _refusal(status: int, kind: str, description: str) -> Json:
    exactly = {"type": {"const": f"urn:problem-type:{kind}"}, "status": {"const": status}}
    answer: Json = {
        "description": description,
        "content": {
            "application/problem+json": {
                "schema": {"allOf": [ref("Problem"), {"properties": exactly}]},
                "example": examples()["problems"][kind],
            }
        },
    }
    headers = _REFUSAL_HEADERS.get(status)
    return {**answer, "headers": headers} if headers else answer


def json_answer(description: str, schema: Json, example: object, **named: object) -> Json:
    """Give an answer of one JSON body; `named` are further examples."""
    shown: Json = {"example": example}
    if named:
        values = {"usual": example, **named}
        shown = {"examples": {name: {"value": value} for name, value in values.items()}}
    return {
        "description": description,
        "content": {"application/json": {"schema": schema, **shown}},
    }


def result_answer() -> Json:
    """Give the answer of a run that was waited for."""
    answer = json_answer("The run's result.", ref("RunResponse"), examples()["result"])
    return {**answer, "headers": _REPLAYED}


def stream_answer(description: str, *, replays: bool = True) -> Json:
    """Give an answer that is a stream of events."""
    return {
        "description": f"{description} The schema is that of one event, since "
        "OpenAPI 3.1 has no word for a sequence of them. Its `data` is JSON of the schema named "
        "there, and so may be the `data` inside of that.",
        "headers": _RUN_HEADERS | (_REPLAYED if replays else {}),
        "content": {
            "text/event-stream": {
                "schema": ref("ServerSentEvent"),
                "examples": _event_examples(EventType),
            }
        },
    }


def nothing_left() -> Json:
    """Return the answer to a reader that has read the whole run."""
    return {
        "description": "The run has ended or is paused, and nothing comes after the cursor.",
        "headers": _RUN_HEADERS | _REPLAYED,
    }


def _event_examples(events: Iterable[EventType]) -> Json:
    return {str(event): {"value": examples()["events"][event]} for event in events}
