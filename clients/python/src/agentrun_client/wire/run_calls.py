"""The requests that start, read and end runs."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from agentrun_client.models.actions import Budget, Decision, Decisions, Verdict
from agentrun_client.models.json_value import JsonValue
from agentrun_client.models.requests import Media, RunOptions, StartOptions, Webhook
from agentrun_client.models.runs import (
    QueuedRun,
    Run,
    RunResult,
    StreamTicket,
)
from agentrun_client.wire.arguments import all_of_kind, checked_options, of_kind
from agentrun_client.wire.call import Call, nothing, path_of
from agentrun_client.wire.page import Page, page_of
from agentrun_client.wire.reading import read_array, read_as, read_json, read_object

Fields: TypeAlias = Literal["summary"]
MOST_IN_A_BATCH = 100
JSON = "application/json"
_STREAM = {
    "Accept": "text/event-stream",
    # What is compressed on the way is held back until there is enough of it.
    "Accept-Encoding": "identity",
    "Cache-Control": "no-store",
}
ANSWER_S = 310.0
"""API Gateway drops an answer that has said nothing for 300 s."""
TRIES_OF_AN_ANSWER = 10
"""A run may outlast several of these, and the key leads back to it each time."""


def write_json(body: JsonValue) -> bytes:
    """
    Write a body.

    Raises:
        ValueError: It has NaN, an infinity or half of a surrogate pair, which JSON has not.
    """
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _result(body: bytes) -> RunResult:
    told = read_object(body)
    return read_as(RunResult, {**told, "text": told.get("content")})


def _run(body: bytes) -> Run:
    return read_as(Run, read_json(body))


def _runs(body: bytes) -> tuple[Run, ...]:
    return tuple(read_array(Run, read_json(body)))


def start_stream(agent: str, message: str, options: StartOptions) -> Call[None]:
    """Start a run and stream it."""
    headers = {**_start_headers(options), **_STREAM}
    path, body = path_of("api", "agents", agent, "runs", "stream"), _start_body(message, options)
    return Call("POST", path, nothing, body=body, headers=headers, door="stream")


def create(agent: str, message: str, options: StartOptions) -> Call[RunResult]:
    """Start a run and wait for its end."""
    return Call(
        "POST",
        path_of("api", "agents", agent, "runs"),
        _result,
        body=_start_body(message, options),
        headers=_start_headers(options),
        door="stream",
        silence_s=ANSWER_S,
        patience=TRIES_OF_AN_ANSWER,
    )


def background(agent: str, message: str, options: StartOptions) -> Call[QueuedRun]:
    """Start a run that is executed in the background."""
    return Call(
        "POST",
        path_of("api", "agents", agent, "runs", "background"),
        lambda body: read_as(QueuedRun, read_json(body)),
        body=_start_body(message, options),
        headers=_start_headers(options),
    )


def _start_headers(options: StartOptions) -> dict[str, str]:
    key = options.get("idempotency_key") or os.urandom(16).hex()
    headers = {"Content-Type": JSON, "Idempotency-Key": key}
    if policy := options.get("session_policy"):
        headers["X-Session-Policy"] = policy
    return headers


def _start_body(message: str, options: StartOptions) -> bytes:
    checked_options(options)
    body: dict[str, JsonValue] = {"message": message}
    if session_id := options.get("session_id"):
        body["sessionId"] = session_id
    if user_id := options.get("user_id"):
        body["userId"] = user_id
    if options.get("generate_followups"):
        body["generateFollowups"] = True
    if media := options.get("media"):
        body["media"] = [each.as_body() for each in all_of_kind(Media, "media", media)]
    if run_options := options.get("options"):
        body["options"] = of_kind(RunOptions, "options", run_options).as_body()
    if webhook := options.get("webhook"):
        body["webhook"] = of_kind(Webhook, "webhook", webhook).as_body()
    return write_json(body)


def attach(agent: str, run_id: str, last_event_id: int) -> Call[None]:
    """Read a run's events after an id."""
    headers = dict(_STREAM)
    if last_event_id:
        headers["Last-Event-ID"] = str(last_event_id)
    path = path_of("api", "agents", agent, "runs", run_id, "stream")
    return Call("GET", path, nothing, headers=headers, door="stream")


def resume(agent: str, run_id: str, decisions: Decisions, budget: Budget | None) -> Call[None]:
    """Decide what a paused run waits for, and stream what follows."""
    body: dict[str, JsonValue] = {}
    if isinstance(decisions, Verdict):
        body.update(decisions.as_body())
    else:
        decided = all_of_kind(Decision, "decisions", decisions)
        body["decisions"] = [decision.as_body() for decision in decided]
    if budget is not None:
        body["budget"] = of_kind(Budget, "budget", budget).as_body()
    headers = {"Content-Type": JSON, **_STREAM}
    path = path_of("api", "agents", agent, "runs", run_id, "continue")
    return Call(
        "POST",
        path,
        nothing,
        body=write_json(body),
        headers=headers,
        door="stream",
        # Only after a look at what has become of it.
        is_repeatable=False,
    )


def get(run_id: str) -> Call[Run]:
    """Read one run."""
    return Call("GET", path_of("api", "v1", "runs", run_id), _run)


def get_batches(
    agent: str, run_ids: Sequence[str], fields: Fields | None
) -> list[Call[tuple[Run, ...]]]:
    """Read many runs, as many at once as the API allows."""
    wanted = list(dict.fromkeys(run_ids))
    path = path_of("api", "agents", agent, "runs", "status")
    shown = (("fields", fields),) if fields else ()
    return [
        Call("GET", path, _runs, (("runIds", ",".join(wanted[at : at + MOST_IN_A_BATCH])), *shown))
        for at in range(0, len(wanted), MOST_IN_A_BATCH)
    ]


def list_page(filters: Mapping[str, str | None], size: int, cursor: str | None) -> Call[Page[Run]]:
    """Read a page of the list of runs."""
    query = {**filters, "size": str(size), "cursor": cursor}
    given = tuple((name, value) for name, value in query.items() if value)
    return Call("GET", path_of("api", "v1", "runs"), lambda body: page_of(Run, body), given)


def cancel(run_id: str) -> Call[None]:
    """Cancel a run; it does no harm to cancel it again."""
    return Call("POST", path_of("api", "v1", "runs", run_id, "cancel"), nothing)


def stream_ticket(agent: str, run_id: str) -> Call[StreamTicket]:
    """Ask for a ticket that attaches a browser's EventSource."""
    path = path_of("api", "agents", agent, "runs", run_id, "stream-ticket")
    return Call("POST", path, lambda body: read_as(StreamTicket, read_json(body)))
