"""All schemas of the document: the models', and those of answers that are made by hand."""

from agentrun.domain.events import EventType
from agentrun.http.openapi.model_schemas import Json, model_schemas, ref
from agentrun.http.problems import TITLES

TEXT: Json = {"type": "string"}

# What each event's `data` holds: a schema's name, or None for plain text; and what it means.
EVENT_DATA: dict[EventType, tuple[str | None, str]] = {
    EventType.START: ("StartData", "Always first; the run is durable."),
    EventType.REASONING_DELTA: (None, "The next fragment of the model's reasoning."),
    EventType.CONTENT_DELTA: (None, "The next fragment of the answer."),
    EventType.TOOL_START: ("ToolStartData", "A tool is about to run."),
    EventType.TOOL_END: ("ToolEndData", "A tool has given its result."),
    EventType.TOOL_ERROR: ("ToolErrorData", "A tool has failed; the run goes on."),
    EventType.METRICS: ("Metrics", "What the run has used; once, right before the end."),
    EventType.STOP: ("StopData", "Ends the stream: the run is COMPLETED."),
    EventType.ERROR: (None, "Ends the stream: the run is FAILED, for the reason in `data`."),
    EventType.PAUSED: ("RequiredAction", "Ends the stream: the run waits for approvals."),
    EventType.CANCELLED: (None, "Ends the stream: the run is CANCELLED, for the reason in `data`."),
}


def schemas() -> dict[str, Json]:
    """Give every schema by its name."""
    found = model_schemas()
    found |= _event_schemas() | _hand_made() | _sessions(found["Session"])
    return dict(sorted(found.items()))


def event_schema_name(event: EventType) -> str:
    """Name the schema of one event: `ToolStartEvent`."""
    return "".join(part.capitalize() for part in event.split("_")) + "Event"


def _event_schemas() -> dict[str, Json]:
    found = {event_schema_name(event): _event_schema(event) for event in EventType}
    found["AgentStreamEvent"] = {
        "description": "One thing that happened in a run. `data` is always a string; where it "
        "holds an object, it is that object's JSON. Ignore events that you do not know.",
        "oneOf": [ref(name) for name in found],
        "discriminator": {
            "propertyName": "event",
            "mapping": {str(event): ref(event_schema_name(event))["$ref"] for event in EventType},
        },
    }
    found["ServerSentEvent"] = _object(
        "One event of a stream (HTML standard, “Server-sent events”): an `id:` line and a `data:` "
        "line. There is no `event:` line. `retry: 1000` comes once, as a line of the first "
        "event, and the comment `: ping`, without an empty line, while nothing happens.",
        {
            "id": {
                "description": "Counts from 1 without gaps, per run.",
                "type": "string",
                "pattern": "^[1-9][0-9]*$",
            },
            "data": _json_text("AgentStreamEvent"),
        },
    )
    return found


def _event_schema(event: EventType) -> Json:
    name, meaning = EVENT_DATA[event]
    return _object(
        meaning,
        {
            "event": {"const": str(event)},
            "data": TEXT if name is None else _json_text(name),
            "timestamp": {"description": "Milliseconds since the Unix epoch.", "type": "integer"},
        },
    )


def _json_text(name: str) -> Json:
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": ref(name)}


def _hand_made() -> dict[str, Json]:
    return {
        "Agent": _agent(),
        "Health": _object("The function answers.", {"status": {"const": "UP"}}),
        "Problem": _problem(),
        "RequiredAction": _object(
            "What a PAUSED run waits for; the last three fields repeat the first of `approvals`.",
            {
                "type": {"const": "TOOL_APPROVAL"},
                "approvalId": TEXT,
                "approvals": _array(ref("PendingApproval"), minItems=1),
                "tool": TEXT,
                "toolName": TEXT,
                "arguments": {"description": "Any JSON, usually an object."},
            },
        ),
        "SessionPage": _object(
            "Some of a user's sessions, the most recently used first.",
            {
                "content": _array(ref("Session")),
                "number": {
                    "description": "The page's, from 0; absent where a cursor was used.",
                    "type": "integer",
                },
                "size": {"description": "As asked for.", "type": "integer"},
                "totalElements": {"description": "Of all pages.", "type": "integer"},
                "totalPages": {"description": "Of this size.", "type": "integer"},
                "nextCursor": {"description": "There are more sessions.", "type": "string"},
            },
            optional={"number", "nextCursor"},
        ),
    }


def _sessions(of_model: Json) -> dict[str, Json]:
    """Describe a session as it is sent: its id under two names; alone, also what was said."""
    said = _array(ref("Message"), description="The newest of them, the oldest first.")
    alias = {"description": "The same as `id`.", "type": "string"}
    session = _with_properties(of_model, sessionId=alias)
    alone = _with_properties(session, messages=said) | {"title": "SessionWithMessages"}
    return {"Session": session, "SessionWithMessages": alone}


def _with_properties(schema: Json, **more: Json) -> Json:
    return {
        **schema,
        "properties": schema["properties"] | more,
        "required": [*schema["required"], *more],
    }


def _agent() -> Json:
    return _object(
        "What an agent is and takes.",
        {
            "id": TEXT,
            "agentId": {"description": "The same as `id`.", "type": "string"},
            "name": TEXT,
            "description": TEXT,
            "model": {"description": "The one used by default.", "type": "string"},
            "models": _array(TEXT, description="Those that `options.model` may choose."),
            "active": {"description": "Whether it can be run.", "type": "boolean"},
            "isTeam": {"const": False},
            "is_team": {"const": False},
            "tools": _array(ref("AgentTool")),
            "media": _array(TEXT, description="The MIME types that it takes."),
        },
    )


def _problem() -> Json:
    return _object(
        "What went wrong (RFC 9457). `detail` is for people; decide by `status` or `type`.",
        {
            "type": {"enum": [f"urn:problem-type:{name}" for name in TITLES]},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": TEXT,
            "instance": {"description": "The path that was asked for.", "type": "string"},
            "invalidParams": _array(
                _object("A field at fault, and why.", {"name": TEXT, "reason": TEXT}), minItems=1
            ),
            "runId": {"description": "The run that has failed.", "type": "string"},
        },
        optional={"invalidParams", "runId"},
    )


def _object(
    description: str,
    properties: dict[str, Json],
    *,
    optional: frozenset[str] | set[str] = frozenset(),
) -> Json:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _array(items: Json, **keywords: str | int) -> Json:
    return {"type": "array", "items": items, **keywords}
