"""The operations of the function that reads runs and keeps conversations."""

from agentrun.http.openapi.answers import json_answer, refused
from agentrun.http.openapi.examples import examples
from agentrun.http.openapi.model_schemas import Json, ref
from agentrun.http.openapi.parameters import parameter

_ALWAYS = (400, 401, 403, 404, 413, 429, 500, 503)
_DELETED: Json = {"description": "Done, or done before."}


def status_operations() -> dict[str, Json]:
    """Give the operations by path and method."""
    return _agents() | _runs() | _sessions() | _about()


def _agents() -> dict[str, Json]:
    shown = examples()
    return {
        "/api/agents": {
            "get": _read(
                "listAgents",
                "List the agents",
                ["includeInactive"],
                json_answer("The agents.", _array("Agent"), [shown["echo"], shown["agent"]]),
                scope=None,
            )
        },
        "/api/agents/{agentId}": {
            "get": _read(
                "getAgent",
                "Show one agent, active or not",
                ["agentId"],
                json_answer("The agent.", ref("Agent"), shown["agent"]),
                scope=None,
            )
        },
    }


def _runs() -> dict[str, Json]:
    run, paused = examples()["run"], examples()["pausedRun"]
    one = "/api/agents/{agentId}/runs/{runId}"
    names = ["agentId", "runId"]
    shown = (names, json_answer("The run.", ref("AgentRun"), run, paused=paused))
    return {
        "/api/agents/{agentId}/runs/status": {
            "get": _read(
                "getRuns",
                "Show up to 100 runs at once",
                ["agentId", "runIds", "fields"],
                json_answer(
                    "The runs in the order asked for, their texts cut to 4096 bytes each. One that "
                    "is not there or not the caller's to see is left out.",
                    _array("AgentRun"),
                    [run],
                ),
            )
        },
        f"{one}/status": {"get": _read("getRunStatus", "Show one run whole", *shown)},
        one: {
            "get": _read("getRun", "Show one run whole; the same as `/status`", *shown),
            "delete": _delete("cancelRun", "Cancel one run; what it had stays", "agentId", "runId"),
        },
    }


def _sessions() -> dict[str, Json]:
    shown = examples()
    one = "/api/sessions/{sessionId}"
    return {
        "/api/sessions": {
            "get": _read(
                "listSessions",
                "List the caller's conversations",
                ["ofAgent", "ofUser", "size", "page", "cursor"],
                json_answer("A page of them.", ref("SessionPage"), shown["sessions"]),
            )
        },
        one: {
            "get": _read(
                "getSession",
                "Show one conversation with the newest of what was said in it",
                ["sessionId"],
                json_answer(
                    "The conversation.",
                    ref("SessionWithMessages"),
                    {**shown["session"], "messages": shown["messages"]},
                ),
            ),
            "delete": _delete(
                "deleteSession", "Delete a conversation with all that belongs to it", "sessionId"
            ),
        },
        f"{one}/runs": {
            "get": _read(
                "listSessionRuns",
                "Show a conversation's runs, the oldest first",
                ["sessionId"],
                json_answer("The newest of them.", _array("AgentRun"), [shown["run"]]),
            )
        },
        f"{one}/messages": {
            "get": _read(
                "listSessionMessages",
                "Show what was said in a conversation, the oldest first",
                ["sessionId"],
                json_answer("The newest of it.", _array("Message"), shown["messages"]),
            )
        },
    }


def _about() -> dict[str, Json]:
    health = _read(
        "health",
        "Tell that the API answers",
        [],
        json_answer("It does.", ref("Health"), {"status": "UP"}),
        scope=None,
    )
    document = {
        "description": "OpenAPI 3.1.",
        "content": {"application/json": {"schema": {"type": "object", "required": ["openapi"]}}},
    }
    return {
        "/api/v1/health": {"get": {**health, "security": []}},
        "/api/v1/openapi.json": {
            "get": _read("getOpenApi", "Give this document", [], document, scope=None)
        },
    }


def _read(
    name: str, summary: str, names: list[str], answer: Json, *, scope: str | None = "runs:read"
) -> Json:
    return {
        "operationId": name,
        "tags": [_tag(name)],
        "summary": summary,
        **({"description": f"Needs the scope `{scope}`."} if scope else {}),
        "parameters": [parameter(found) for found in names],
        "responses": {"200": answer, **refused(*_ALWAYS)},
    }


def _delete(name: str, summary: str, *names: str) -> Json:
    return {
        "operationId": name,
        "tags": [_tag(name)],
        "summary": summary,
        "description": "Needs the scope `runs:write`.",
        "parameters": [parameter(found) for found in names],
        "responses": {"204": _DELETED, **refused(*_ALWAYS)},
    }


def _tag(name: str) -> str:
    parts = {"Agent": "agents", "Session": "sessions", "Run": "runs"}
    # "listSessionRuns" is about sessions, and a part of a name later in the list may stand in it.
    return next((tag for part, tag in parts.items() if part in name), "service")


def _array(name: str) -> Json:
    return {"type": "array", "items": ref(name)}
