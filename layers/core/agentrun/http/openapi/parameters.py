"""What requests carry besides their body."""

from agentrun.domain.conversations import SessionPolicy
from agentrun.http.openapi.model_schemas import Json

_ID: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_RUN = "7eaee842-5575-48f6-b22b-a513456c9b84"


def parameters() -> dict[str, Json]:
    """Give every parameter by the name that operations refer to it with."""
    return _in_paths() | _in_headers() | _in_queries()


def parameter(name: str) -> Json:
    """Point to a parameter of the document."""
    return {"$ref": f"#/components/parameters/{name}"}


def _in_paths() -> dict[str, Json]:
    approval = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,64}\.[0-9]{1,12}$"}
    return {
        "agentId": _path("agentId", _ID, "An agent's id.", "analyst"),
        "runId": _path("runId", _ID, "A run's id.", _RUN),
        "sessionId": _path("sessionId", _ID, "A session's id.", _RUN),
        "approvalId": _path("approvalId", approval, "As PAUSED has said it.", f"{_RUN}.18"),
    }


def _in_headers() -> dict[str, Json]:
    key = {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}
    policy = {"enum": [str(policy) for policy in SessionPolicy], "default": "reject"}
    return {
        "idempotencyKey": _header(
            "Idempotency-Key",
            key,
            "Makes it safe to send the request again: within 24 hours the same key with the same "
            "agent and a body that is equal as JSON leads to the run that the first one started.",
        ),
        "sessionPolicy": _header(
            "X-Session-Policy", policy, "What to do while another run uses the session."
        ),
        "lastEventIdHeader": _header(
            "Last-Event-ID", _cursor(), "The last id that was seen; 0 or none: from the start."
        ),
        "lastEventIdOfRequest": _header(
            "Last-Event-ID",
            _cursor(),
            "The last id that was seen of this same request's stream, which is sent again: with a "
            "key the replay begins after it; without one so does the newest equal run of the last "
            "15 minutes that has had this event, if there is any.",
        ),
    }


def _in_queries() -> dict[str, Json]:
    text: Json = {"type": "string"}
    return {
        "lastEventIdQuery": _query(
            "lastEventId", _cursor(), "Where `Last-Event-ID` cannot be set; the header wins."
        ),
        "includeInactive": _query(
            "includeInactive",
            {"type": "boolean", "default": False},
            "Also list the agents that cannot be run.",
        ),
        "runIds": _query(
            "runIds",
            {"type": "array", "items": text},
            "Comma separated, repeated, or both; at most 100 distinct ids after dropping empty "
            "ones and duplicates.",
            required=True,
            style="form",
            explode=False,
        ),
        "fields": _query(
            "fields",
            {"enum": ["full", "summary"], "default": "full"},
            "`summary` leaves out `input` and `output`.",
        ),
        "size": _query(
            "size",
            {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            "How many at most.",
        ),
        "page": _query(
            "page",
            {"type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0},
            "Which page of this size, from 0; cannot be combined with `cursor`.",
        ),
        "cursor": _query("cursor", text, "The `nextCursor` of the page before."),
        "ofAgent": _query(
            "agentId", {"type": "string", "maxLength": 64}, "Only sessions with this agent."
        ),
        "ofUser": _query(
            "userId",
            {"type": "string", "maxLength": 256},
            "Whose sessions; the role `admin` may name others.",
        ),
    }


def _cursor() -> Json:
    return {"type": "string", "pattern": "^[0-9]{0,18}$"}


def _path(name: str, schema: Json, description: str, example: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def _header(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _query(name: str, schema: Json, description: str, **keywords: str | bool) -> Json:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": schema,
        **keywords,
    }
