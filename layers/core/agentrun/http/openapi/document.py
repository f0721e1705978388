"""The whole document, and the parameters that its operations refer to."""

from functools import cache
from typing import get_args

from pydantic_core import to_json

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.value import ID_PATTERN
from agentrun.http import queries
from agentrun.http.openapi.answers import examples, refusals
from agentrun.http.openapi.operations import RUNS, operations
from agentrun.http.openapi.schemas import Json, schema_of, schemas

VERSION = "0.1.0"
"""The project's version; packages in a layer have no metadata to read it from."""

_CURSOR: Json = {"type": "string", "pattern": "^[0-9]{0,18}$"}
_ABOUT = (
    "Runs agents and streams each run as Server-Sent Events. Fields that are not known, or not "
    "known yet, are absent; expect fields and events that you do not know."
)
# Defaults are those of the local stack; a deployment's are among its outputs.
_REST_API: Json = {
    "url": "{restApi}",
    "description": "The REST API, which has all paths.",
    "variables": {"restApi": {"default": "http://127.0.0.1:8000"}},
}
_FUNCTION_URL: Json = {
    "url": "{functionUrl}",
    "description": "The Function URL, which has the paths that execute and follow runs.",
    "variables": {"functionUrl": {"default": "http://127.0.0.1:8001"}},
}
FUNCTION_URL_PATHS = tuple(
    RUNS + end for end in ("/stream", "", "/{runId}/stream", "/{runId}/continue")
)


@cache
def openapi_json() -> bytes:
    """Return the document as JSON, made at the first request."""
    return to_json(openapi_document())


def openapi_document() -> Json:
    """Return the document (OpenAPI Specification 3.1.1)."""
    return {
        "openapi": "3.1.1",
        "info": {"title": "Agentrun", "version": VERSION, "description": _ABOUT},
        "servers": [_REST_API],
        "security": [{"bearer": []}],
        "tags": [
            {"name": "runs", "description": "Begin runs, follow, continue and cancel them."},
            {"name": "sessions", "description": "The caller's conversations."},
            {"name": "agents", "description": "What can be run."},
            {"name": "service", "description": "About the API itself."},
        ],
        "paths": {
            path: _with_servers(path, operations)
            for path, operations in sorted(operations().items())
        },
        "components": {
            "securitySchemes": {"bearer": _bearer(), "ticket": _ticket()},
            "parameters": parameters(),
            "responses": refusals(),
            "schemas": schemas(),
        },
    }


def _with_servers(path: str, operations: Json) -> Json:
    if path not in FUNCTION_URL_PATHS:
        return operations
    return {"servers": [_REST_API, _FUNCTION_URL], **operations}


def _bearer() -> Json:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Signed with RS256, ES256 or EdDSA; `sub` is the user, the organisation's "
        "claim the tenant, `scope` and `roles` what they may do.",
    }


def _ticket() -> Json:
    return {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "As `issueStreamTicket` has given it, at the Function URL alone, for one "
        "run and a request without `Authorization`.",
    }


def parameters() -> dict[str, Json]:
    """Return every parameter by the name that operations refer to."""
    return _in_paths() | _in_headers() | _in_queries()


def _in_paths() -> dict[str, Json]:
    ids = f"^{ID_PATTERN.pattern}$"
    approvals = r"^[A-Za-z0-9_-]{1,64}\.[0-9]{1,12}$"
    run_id = examples()["run"]["id"]
    return {
        "agentId": _path("agentId", ids, "An agent's id.", "analyst"),
        "runId": _path("runId", ids, "A run's id.", run_id),
        "sessionId": _path("sessionId", ids, "A session's id.", run_id),
        "approvalId": _path("approvalId", approvals, "As PAUSED has said it.", f"{run_id}.18"),
    }


def _in_headers() -> dict[str, Json]:
    key = {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}
    policy = {"enum": list(SessionPolicy), "default": SessionPolicy.REJECT}
    return {
        "idempotencyKey": _parameter(
            "header",
            "Idempotency-Key",
            key,
            "Makes it safe to send the request again: within 24 hours the same key with the same "
            "agent and a body that is equal as JSON leads to the run that the first one started.",
        ),
        "sessionPolicy": _parameter(
            "header", "X-Session-Policy", policy, "What to do while another run uses the session."
        ),
        "lastEventIdHeader": _parameter(
            "header",
            "Last-Event-ID",
            _CURSOR,
            "The last id that was seen; 0 or none: from the start.",
        ),
        "lastEventIdOfRequest": _parameter(
            "header",
            "Last-Event-ID",
            _CURSOR,
            "The last id that was seen of this same request's stream, which is sent again: with a "
            "key the replay begins after it; without one so does the newest equal run of the last "
            "15 minutes that has had this event, if there is any.",
        ),
    }


def _in_queries() -> dict[str, Json]:
    whole_list = {"required": True, "style": "form", "explode": False}
    return {
        "lastEventIdQuery": _parameter(
            "query",
            "lastEventId",
            _CURSOR,
            "Where `Last-Event-ID` cannot be set; the header wins.",
        ),
        "includeInactive": _query(queries.IncludeInactive, default=False),
        "runIds": {**_query(queries.RunIds), **whole_list},
        "fields": _query(queries.Fields, default="full"),
        "size": _query(queries.Size, default=queries.DEFAULT_SIZE),
        "page": _query(queries.Page, default=0),
        "cursor": _query(queries.Cursor),
        "ofAgent": _query(queries.OfAgent),
        "ofUser": _query(queries.OfUser),
        "status": _query(queries.RunsOfStatus),
        "runsOfAgent": _query(queries.RunsOfAgent),
        "runsOfSession": _query(queries.RunsOfSession),
        "runsOfUser": _query(queries.RunsOfUser),
    }


def _path(name: str, pattern: str, description: str, example: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": pattern},
        "example": example,
    }


def _parameter(place: str, name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": place, "description": description, "schema": schema}


def _query(annotation: object, **default: object) -> Json:
    _, query = get_args(annotation)
    schema = schema_of(annotation)
    description = schema.pop("description")
    return _parameter("query", query.alias, {**schema, **default}, description)
