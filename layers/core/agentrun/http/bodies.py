"""The JSON bodies of answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.background import BackgroundTask
from starlette.responses import Response

from agentrun.domain.agents import Agent
from agentrun.domain.conversations import Message, Session, SessionPage
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.http.sse import paused_object
from agentrun.service.run_result import RunResult

MAX_ARRAY_BYTES = 5_750_000
"""Lambda answers with 6 MB at most ("Lambda quotas" in its developer guide), headers included."""


def json_answer(
    body: Mapping[str, Any] | Sequence[Any],
    *,
    headers: Mapping[str, str] | None = None,
    background: BackgroundTask | None = None,
) -> Response:
    """Answer 200 with a JSON body; `background` is done after the last byte."""
    return Response(
        to_json(body), headers=headers, media_type="application/json", background=background
    )


def newest_answer(bodies: Sequence[Mapping[str, Any]]) -> Response:
    """Answer 200 with an array of JSON bodies; of those that do not fit, the first are left out."""
    return Response(_newest(bodies), media_type="application/json")


def session_answer(session: Session, messages: Sequence[Message]) -> Response:
    """Answer 200 with a session and its messages, as many as `newest_answer` gives."""
    newest = _newest([message_body(message) for message in messages])
    head = to_json(session_body(session)).removesuffix(b"}")
    return Response(head + b',"messages":' + newest + b"}", media_type="application/json")


def _newest(bodies: Sequence[Mapping[str, Any]]) -> bytes:
    fitting: list[bytes] = []
    left_bytes = MAX_ARRAY_BYTES
    for body in reversed(bodies):
        dumped = to_json(body)
        # It leaves the function as a text inside of JSON, where each of these takes a byte more.
        left_bytes -= len(dumped) + dumped.count(b'"') + dumped.count(b"\\") + 1
        if left_bytes < 0:
            break
        fitting.append(dumped)
    return b"[" + b",".join(reversed(fitting)) + b"]"


def agent_body(agent: Agent) -> dict[str, Any]:
    """Give an agent as its callers see it, under the names that clients have long known."""
    return {
        "id": agent.id,
        "agentId": agent.id,
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "models": agent.models,
        "active": agent.active,
        "isTeam": False,
        "is_team": False,
        "tools": [tool.model_dump() for tool in agent.tools],
        "media": agent.media,
    }


def run_body(run: AgentRun) -> dict[str, Any]:
    """Give a run; what is not known is absent."""
    body = run.model_dump(mode="json", exclude_none=True, exclude={"required_action"})
    if run.required_action is not None and run.status is RunStatus.PAUSED:
        body["requiredAction"] = paused_object(run.required_action)
    return body


def session_body(session: Session) -> dict[str, Any]:
    """Return a session as its callers see it, its id under both names."""
    return {"id": session.id, "sessionId": session.id, **session.model_dump(mode="json")}


def sessions_body(page: SessionPage, *, number: int | None, size: int) -> dict[str, Any]:
    """Return a page of sessions with its number, if it has one, and the size that was asked for."""
    return {
        "content": [session_body(session) for session in page.sessions],
        **({} if number is None else {"number": number}),
        "size": size,
        "totalElements": page.total,
        "totalPages": -(-page.total // size),
        **({} if page.next_cursor is None else {"nextCursor": page.next_cursor}),
    }


def message_body(message: Message) -> dict[str, Any]:
    """Give one message of a conversation."""
    return message.model_dump(mode="json")


def result_body(result: RunResult) -> dict[str, Any]:
    """Give a finished run's result as one answer."""
    body = result.model_dump(mode="json", exclude={"required_action", "metrics", "followups"})
    if result.followups is not None:
        body["followups"] = result.followups
    if result.metrics is not None:
        body["metrics"] = result.metrics.model_dump(exclude={"event"}, exclude_none=True)
    if result.required_action is not None:
        body["requiredAction"] = paused_object(result.required_action)
    return body
