"""The operations of both functions."""

from agentrun.http.openapi.answers import (
    NAMES,
    REPLAYED,
    RUN_HEADERS,
    examples,
    json_answer,
    list_answer,
    result_answer,
    stream_answer,
)
from agentrun.http.openapi.schemas import Json, ref

RUNS = "/api/agents/{agentId}/runs"
_RUN = f"{RUNS}/{{runId}}"
_SESSION = "/api/sessions/{sessionId}"
# Statuses that any operation may be refused with. 405 is not among them: only the Function URL
# answers it, and it has only some of the paths.
_ANY = (400, 401, 403, 404, 413, 429, 500, 503)
_STARTING = ("agentId", "idempotencyKey", "sessionPolicy")
_READ, _WRITE = "Needs the scope `runs:read`.", "Needs the scope `runs:write`."


def operations() -> dict[str, Json]:
    """Return the operations by path and method."""
    return {
        f"{RUNS}/stream": {"post": _stream()},
        RUNS: {"post": _run_once()},
        f"{RUNS}/background": {"post": _run_in_background()},
        f"{_RUN}/stream": {"get": _attach()},
        f"{_RUN}/stream-ticket": {"post": _issue_ticket()},
        f"{_RUN}/continue": {"post": _continue()},
        "/api/v1/approvals/{approvalId}/resolve": {"post": _resolve()},
        **_agents(),
        **_runs(),
        **_lists(),
        **_sessions(),
        **_service(),
    }


def _stream() -> Json:
    nothing_left = {
        "description": "The run has ended or is paused, and nothing comes after the cursor.",
        "headers": RUN_HEADERS | REPLAYED,
    }
    return _operation(
        "runs",
        "streamRun",
        "Run an agent and stream what happens",
        f"{_WRITE} The run outlives its client: attach to it again when the connection breaks, or "
        "send the same request with `Last-Event-ID`. A refusal comes before the first byte.",
        parameters=(*_STARTING, "lastEventIdOfRequest"),
        body=_run_request(),
        answers={"200": stream_answer("The run as it happens."), "204": nothing_left},
        refusals=(405, 409, 415),
    )


def _run_once() -> Json:
    return _operation(
        "runs",
        "runOnce",
        "Run an agent and answer with its result",
        f"{_WRITE} 200 also for a run that is PAUSED or CANCELLED. For long runs prefer the "
        "stream.",
        parameters=_STARTING,
        body=_run_request(),
        answers={"200": result_answer()},
        refusals=(405, 409, 415, 502),
    )


def _run_in_background() -> Json:
    location: Json = {
        "description": "The path of the run's status, relative to the REST API's host.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    }
    accepted = json_answer("The run is accepted.", ref("QueuedRun"), examples()["queuedRun"])
    return _operation(
        "runs",
        "runInBackground",
        "Run an agent without waiting for it",
        f"{_WRITE} The run is stored before the answer and executed from a queue, whether anybody "
        "looks at it or not: ask for its status, attach to it, or name a `webhook`.",
        parameters=_STARTING,
        body=_run_request(),
        answers={"202": {**accepted, "headers": {"Location": location, **REPLAYED}}},
        refusals=(409, 415),
    )


def _attach() -> Json:
    attach = _operation(
        "runs",
        "attachToRun",
        "Replay a run's events after a cursor, then follow it",
        f"{_READ} Any number of readers may attach. A run that has lost what executed it is taken "
        "over by the first that does. The Function URL takes a ticket instead of a token.",
        parameters=("agentId", "runId", "lastEventIdHeader", "lastEventIdQuery"),
        answers={
            "200": stream_answer("The events after the cursor.", replays=False),
            "204": {"description": "The run has ended, and nothing comes after the cursor."},
        },
        refusals=(405,),
    )
    return {**attach, "security": [{"bearer": []}, {"ticket": []}]}


def _issue_ticket() -> Json:
    issued = json_answer("The ticket.", ref("StreamTicket"), examples()["streamTicket"])
    return _operation(
        "runs",
        "issueStreamTicket",
        "Issue a ticket for one run's stream",
        f"{_READ} For a browser's own `EventSource`, which can send no token: it opens the stream "
        "once, within a minute, and again when it has lost its connection. REST API only.",
        parameters=("agentId", "runId"),
        answers={"201": issued},
    )


def _continue() -> Json:
    changed = {"symbol": "AMZN", "side": "buy", "shares": 5}
    decision = {"id": "demo_1_1", "action": "APPROVE", "arguments": changed}
    body = {
        "approve": {"action": "APPROVE"},
        "reject": {"action": "REJECT", "reason": "Too expensive."},
        "change": {"decisions": [decision]},
        "inDoubt": {
            "decisions": [{"id": "demo_1_1", "action": "APPROVE", "result": {"orderId": "17"}}]
        },
        "budget": {"action": "APPROVE", "budget": {"maxCostUsd": 0.5, "maxTotalTokens": 200_000}},
    }
    answer = stream_answer("What happens from now on; ids go on counting.", replays=False)
    answer["content"] |= result_answer()["content"]
    # Only a stream is begun before it is known what the run gives.
    answer["headers"] = {
        name: {key: value for key, value in header.items() if key != "required"}
        for name, header in answer["headers"].items()
    }
    return _operation(
        "runs",
        "continueRun",
        "Decide a paused run's approvals and go on",
        f"{_WRITE} Answers once the run has ended, or streams where `Accept` names "
        "`text/event-stream`.",
        parameters=("agentId", "runId"),
        body=_request("ContinueRequest", body),
        answers={"200": answer},
        refusals=(405, 409, 415, 502),
    )


def _resolve() -> Json:
    body = {"approve": {"decision": "APPROVED"}, "reject": {"decision": "REJECTED"}}
    run = json_answer("The run, which goes on.", ref("AgentRun"), examples()["resumedRun"])
    return _operation(
        "runs",
        "resolveApproval",
        "Decide all calls of an approval, and answer at once",
        f"{_WRITE} The run goes on after the answer. REST API only.",
        parameters=("approvalId",),
        body=_request("ResolveRequest", body),
        answers={"200": run},
        refusals=(409, 415),
    )


def _agents() -> dict[str, Json]:
    agent, echo = examples()["agent"], examples()["echo"]
    agents = list_answer("The agents.", "Agent", [echo, agent])
    one = json_answer("The agent.", ref("Agent"), agent)
    return {
        "/api/agents": _read(
            "agents", "listAgents", "List the agents", "", agents, "includeInactive"
        ),
        "/api/agents/{agentId}": _read(
            "agents", "getAgent", "Show one agent, active or not", "", one, "agentId"
        ),
    }


def _runs() -> dict[str, Json]:
    run, paused = examples()["run"], examples()["pausedRun"]
    runs = list_answer(
        "The runs in the order asked for, their texts cut to 4096 bytes each. One that is not "
        "there or not the caller's to see is left out.",
        "AgentRun",
        [run],
    )
    one = json_answer("The run.", ref("AgentRun"), run, paused=paused)
    batch = ("agentId", "runIds", "fields")
    names = ("agentId", "runId")
    several = "Show up to 100 runs at once"
    same = "Show one run whole; the same as `/status`"
    return {
        f"{RUNS}/status": _read("runs", "getRuns", several, _READ, runs, *batch),
        f"{_RUN}/status": _read("runs", "getRunStatus", "Show one run whole", _READ, one, *names),
        _RUN: _read("runs", "getRun", same, _READ, one, *names)
        | _delete("runs", "cancelRun", "Cancel one run; what it had stays", *names),
    }


def _lists() -> dict[str, Json]:
    run, approval = examples()["run"], examples()["approval"]
    page = {"content": [run], "size": 1, "nextCursor": examples()["runsCursor"]}
    runs = json_answer("A page of them.", ref("RunPage"), page)
    pending = json_answer(
        "A page of them.", ref("ApprovalPage"), {"content": [approval], "size": 20}
    )
    decided = {**approval, "status": "APPROVED"}
    one = json_answer("The approval.", ref("Approval"), approval, decided=decided)
    list_runs = _read(
        "runs",
        "listRuns",
        "List runs, the newest first",
        f"{_READ} The caller's runs; the role `admin` sees all of the organisation's that are "
        "QUEUED, RUNNING or PAUSED besides, or all of one user's. Runs that begin meanwhile are "
        "on no later page. A page may be short, even empty, and still have a `nextCursor`.",
        runs,
        *("status", "runsOfAgent", "runsOfSession", "runsOfUser", "size", "cursor"),
    )
    any_agent = json_answer("The run.", ref("AgentRun"), run, paused=examples()["pausedRun"])
    cancel = _operation(
        "runs",
        "cancelRunOfAnyAgent",
        "Cancel one run; what it had stays",
        _WRITE,
        parameters=("runId",),
        answers={"204": {"description": "Done, or done before."}},
    )
    whose = f"{_READ} The caller's; of the role `admin`, the organisation's."
    kept = f"{_READ} Those that are decided are shown as long as their runs' events are kept."
    waiting, title = "List what waits for a decision, the oldest first", "Show one approval"
    show = "Show one run whole, whatever its agent"
    return {
        "/api/v1/runs": list_runs,
        "/api/v1/runs/{runId}": _read("runs", "getRunOfAnyAgent", show, _READ, any_agent, "runId"),
        "/api/v1/runs/{runId}/cancel": {"post": cancel},
        "/api/v1/approvals/pending": _read(
            "runs", "listPendingApprovals", waiting, whose, pending, "size", "cursor"
        ),
        "/api/v1/approvals/{approvalId}": _read(
            "runs", "getApproval", title, kept, one, "approvalId"
        ),
    }


def _sessions() -> dict[str, Json]:
    shown = examples()
    whole = {**shown["session"], "messages": shown["messages"]}
    page = json_answer("A page of them.", ref("SessionPage"), shown["sessions"])
    one = json_answer("The conversation.", ref("SessionWithMessages"), whole)
    runs = list_answer("The newest of them.", "AgentRun", [shown["run"]])
    messages = list_answer("The newest of it.", "Message", shown["messages"])
    paged = ("ofAgent", "ofUser", "size", "page", "cursor")

    def read(name: str, summary: str, answer: Json, *parameters: str) -> Json:
        return _read("sessions", name, summary, _READ, answer, *parameters)

    get_one = "Show one conversation with the newest of what was said in it"
    get_runs = "Show a conversation's runs, the oldest first"
    get_messages = "Show what was said in a conversation, the oldest first"
    delete = "Delete a conversation with all that belongs to it"
    return {
        "/api/sessions": read("listSessions", "List the caller's conversations", page, *paged),
        _SESSION: read("getSession", get_one, one, "sessionId")
        | _delete("sessions", "deleteSession", delete, "sessionId"),
        f"{_SESSION}/runs": read("listSessionRuns", get_runs, runs, "sessionId"),
        f"{_SESSION}/messages": read("listSessionMessages", get_messages, messages, "sessionId"),
    }


def _service() -> dict[str, Json]:
    up = json_answer("It does.", ref("Health"), {"status": "UP"})
    health = _read("service", "health", "Tell that the API answers", "", up)
    schema = {"type": "object", "required": ["openapi"]}
    document = {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": schema}}}
    health["get"]["security"] = []
    this = _read("service", "getOpenApi", "Give this document", "", document)
    return {"/api/v1/health": health, "/api/v1/openapi.json": this}


def _read(
    tag: str, name: str, summary: str, description: str, answer: Json, *parameters: str
) -> Json:
    answers = {"200": answer}
    read = _operation(tag, name, summary, description, parameters=parameters, answers=answers)
    return {"get": read}


def _delete(tag: str, name: str, summary: str, *parameters: str) -> Json:
    answers: dict[str, Json] = {"204": {"description": "Done, or done before."}}
    delete = _operation(tag, name, summary, _WRITE, parameters=parameters, answers=answers)
    return {"delete": delete}


def _operation(
    tag: str,
    name: str,
    summary: str,
    description: str,
    *,
    parameters: tuple[str, ...],
    answers: dict[str, Json],
    body: Json | None = None,
    refusals: tuple[int, ...] = (),
) -> Json:
    refused = {
        str(status): {"$ref": f"#/components/responses/{NAMES[status]}"}
        for status in (*_ANY, *refusals)
    }
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **({"description": description} if description else {}),
        "parameters": [{"$ref": f"#/components/parameters/{found}"} for found in parameters],
        **({"requestBody": body} if body else {}),
        "responses": {**answers, **refused},
    }


def _run_request() -> Json:
    ask = {"message": "What is 17 * 23?"}
    whole = {
        **ask,
        "sessionId": "04bf2261-141b-4909-8015-68e71dd86171",
        "generateFollowups": True,
        "options": {
            "model": "demo",
            "temperature": 0.2,
            "maxTokens": 1000,
            "maxCostUsd": 0.25,
            "maxTotalTokens": 100_000,
        },
        "webhook": {"url": "https://example.com/runs", "events": ["run.completed", "run.failed"]},
    }
    return _request("RunRequest", {"short": ask, "whole": whole})


def _request(schema: str, bodies: Json) -> Json:
    """Describe a body of strict JSON, as `requests.parse_json` reads it."""
    values = {name: {"value": body} for name, body in bodies.items()}
    return {
        "required": True,
        "description": "At most 6 MiB of JSON in UTF-8, without duplicate names, halves of "
        "surrogate pairs, or more than 64 levels.",
        "content": {"application/json": {"schema": ref(schema), "examples": values}},
    }
