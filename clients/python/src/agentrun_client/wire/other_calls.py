"""The requests about agents, sessions, approvals and the deployment itself."""

from typing import TypeVar

from agentrun_client.models.actions import Verdict
from agentrun_client.models.agents import Agent
from agentrun_client.models.approvals import Approval
from agentrun_client.models.json_value import JsonValue
from agentrun_client.models.runs import Run
from agentrun_client.models.sessions import Message, Session
from agentrun_client.wire.arguments import of_kind
from agentrun_client.wire.call import Call, nothing, path_of
from agentrun_client.wire.page import Page, page_of
from agentrun_client.wire.reading import (
    UnreadableError,
    read_array,
    read_as,
    read_json,
    read_object,
)
from agentrun_client.wire.run_calls import JSON, write_json

T = TypeVar("T")


def _one(kind: type[T], path: str) -> Call[T]:
    return Call("GET", path, lambda body: read_as(kind, read_json(body)))


def _array(kind: type[T], path: str, query: tuple[tuple[str, str], ...] = ()) -> Call[list[T]]:
    return Call("GET", path, lambda body: read_array(kind, read_json(body)), query)


def _page(kind: type[T], path: str, **query: str | None) -> Call[Page[T]]:
    given = tuple((name, value) for name, value in query.items() if value)
    return Call("GET", path, lambda body: page_of(kind, body), given)


def list_agents(*, include_inactive: bool) -> Call[list[Agent]]:
    """Read all agents."""
    query = (("includeInactive", "true"),) if include_inactive else ()
    return _array(Agent, path_of("api", "agents"), query)


def get_agent(agent: str) -> Call[Agent]:
    """Read one agent."""
    return _one(Agent, path_of("api", "agents", agent))


def list_sessions(
    agent_id: str | None, user_id: str | None, size: int, cursor: str | None
) -> Call[Page[Session]]:
    """Read a page of sessions."""
    path = path_of("api", "sessions")
    return _page(Session, path, agentId=agent_id, userId=user_id, size=str(size), cursor=cursor)


def get_session(session_id: str) -> Call[Session]:
    """Read one session and what was said in it."""
    return _one(Session, path_of("api", "sessions", session_id))


def session_runs(session_id: str) -> Call[list[Run]]:
    """Read a session's runs."""
    return _array(Run, path_of("api", "sessions", session_id, "runs"))


def session_messages(session_id: str) -> Call[list[Message]]:
    """Read what was said in a session."""
    return _array(Message, path_of("api", "sessions", session_id, "messages"))


def delete_session(session_id: str) -> Call[None]:
    """Delete a session; after a 503 some of it may be left, so it is repeated."""
    return Call("DELETE", path_of("api", "sessions", session_id), nothing)


def pending_approvals(size: int, cursor: str | None) -> Call[Page[Approval]]:
    """Read a page of what waits for a decision."""
    path = path_of("api", "v1", "approvals", "pending")
    return _page(Approval, path, size=str(size), cursor=cursor)


def get_approval(approval_id: str) -> Call[Approval]:
    """Read one approval."""
    return _one(Approval, path_of("api", "v1", "approvals", approval_id))


def resolve_approval(approval_id: str, verdict: Verdict) -> Call[Run]:
    """Decide all calls of an approval; a second time is refused, so it is not repeated blindly."""
    verdict = of_kind(Verdict, "verdict", verdict)
    decision = "APPROVED" if verdict.action == "APPROVE" else "REJECTED"
    body: dict[str, JsonValue] = {"decision": decision}
    if verdict.reason is not None:
        body["reason"] = verdict.reason
    return Call(
        "POST",
        path_of("api", "v1", "approvals", approval_id, "resolve"),
        lambda answer: read_as(Run, read_json(answer)),
        body=write_json(body),
        headers={"Content-Type": JSON},
        is_repeatable=False,
    )


def health() -> Call[str]:
    """Ask whether the deployment answers; needs no token."""

    def read(body: bytes) -> str:
        status = read_object(body).get("status")
        if not isinstance(status, str):
            raise UnreadableError("it has no `status`")
        return status

    return Call("GET", path_of("api", "v1", "health"), read, needs_token=False)
