"""The whole document."""

from functools import cache

from pydantic_core import to_json

from agentrun.http.openapi.answers import refusals
from agentrun.http.openapi.model_schemas import Json
from agentrun.http.openapi.parameters import parameters
from agentrun.http.openapi.run_operations import RUNS, run_operations
from agentrun.http.openapi.schemas import schemas
from agentrun.http.openapi.status_operations import status_operations

VERSION = "0.1.0"
"""Of this project; a layer holds its packages without the metadata that would tell."""

_ABOUT = (
    "Runs agents and streams each run as Server-Sent Events. Fields that are not known, or not "
    "known yet, are absent; expect fields and events that you do not know."
)
# Of the stack on a laptop; a deployment's are among its outputs.
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
FUNCTION_URL_PATHS = (
    f"{RUNS}/stream",
    RUNS,
    f"{RUNS}/{{runId}}/stream",
    f"{RUNS}/{{runId}}/continue",
)


@cache
def openapi_json() -> bytes:
    """Give the document as JSON; made once, at its first request."""
    return to_json(openapi_document())


def openapi_document() -> Json:
    """Make the document (OpenAPI Specification 3.1.1)."""
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
            for path, operations in sorted((run_operations() | status_operations()).items())
        },
        "components": {
            "securitySchemes": {"bearer": _bearer()},
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
