"""A caller's conversations: list them, look into one, delete one."""

import contextlib
from collections.abc import Callable, Sequence
from uuid import UUID

from agentrun.domain.conversations import Message, PastTurn, Session, SessionPage
from agentrun.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.ports import ConversationStore
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.value import ID_PATTERN
from agentrun.service.ports import RunPorts
from agentrun.service.reading.runs import check_may_read, get_runs, settled_state

MAX_RUNS = 1_000
"""How many runs of one session a reader gets at most, the newest ones."""

Transcript = Callable[[PastTurn], Sequence[Message]]
"""Returns the messages of a turn, the oldest first; knows the engine's own form of them."""


def list_sessions(
    principal: Principal,
    *,
    user_id: str | None,
    agent_id: str | None,
    size: int,
    page: int | None = None,
    cursor: str | None = None,
    conversations: ConversationStore,
) -> SessionPage:
    """
    Return a page of a user's sessions, the most recently used first.

    Args:
        principal: The verified caller.
        user_id: Whose sessions, if not the caller's.
        agent_id: Return only sessions with this agent.
        size: How many at most, 1 to 100.
        page: Which page of this size, from 0.
        cursor: From an earlier page of the same user's sessions; instead of `page`.
        conversations: Where sessions are.

    Raises:
        ForbiddenError: The token lacks the scope, or the sessions are another user's.
        InvalidRequestError: The cursor is not one of these sessions, or there is a page as well.
        StoreUnavailableError: Retrying is safe.
    """
    check_may_read(principal)
    owner = user_id or principal.user_id
    if not principal.may_see(owner):
        raise ForbiddenError("Listing another user's sessions needs the role admin.")
    if page is not None and cursor:
        raise InvalidRequestError(
            "page and cursor cannot be combined; send one of them.",
            params=[("page", "cannot be combined with cursor")],
        )
    return conversations.sessions(
        principal.tenant,
        owner,
        agent_id=agent_id or None,
        size=size,
        skip=(page or 0) * size,
        cursor=cursor or None,
    )


def get_session(
    principal: Principal, session_id: str, *, conversations: ConversationStore
) -> Session:
    """
    Return one session.

    Raises:
        ForbiddenError: The token lacks the scope.
        SessionNotFoundError: There is none, or the caller may not see it; both look the same.
        StoreUnavailableError: Retrying is safe.
    """
    check_may_read(principal)
    return _visible(principal, session_id, conversations)


def session_runs(
    principal: Principal, session_id: str, *, conversations: ConversationStore, ports: RunPorts
) -> list[AgentRun]:
    """
    Return the newest 1000 runs of a session, the oldest first, their texts cut to 4096 bytes each.

    Raises:
        AgentrunError: See `get_session`.
    """
    session = get_session(principal, session_id, conversations=conversations)
    ids = [key.run_id for key in conversations.run_keys(principal.tenant, session.id)][-MAX_RUNS:]
    return get_runs(principal, session.agent_id, ids, with_text=True, ports=ports)


def session_messages(
    principal: Principal,
    session_id: str,
    *,
    transcript: Transcript,
    conversations: ConversationStore,
    ports: RunPorts,
) -> list[Message]:
    """
    Return what was said in the newest 1000 ended runs of a session, the oldest first.

    Raises:
        AgentrunError: See `get_session`.
    """
    _, messages = session_with_messages(
        principal, session_id, transcript=transcript, conversations=conversations, ports=ports
    )
    return messages


def session_with_messages(
    principal: Principal,
    session_id: str,
    *,
    transcript: Transcript,
    conversations: ConversationStore,
    ports: RunPorts,
) -> tuple[Session, list[Message]]:
    """
    Return one session, and its messages as `session_messages` does.

    Raises:
        AgentrunError: See `get_session`.
    """
    session = get_session(principal, session_id, conversations=conversations)
    lock = conversations.lock(principal.tenant, session.id)
    # Settle a run that died while it held the session, or waited for it.
    for run_id in (lock.active, *lock.queue):
        if run_id is not None:
            with contextlib.suppress(RunNotFoundError):
                settled_state(RunKey(tenant=principal.tenant, run_id=run_id), ports)
    turns = conversations.turns(principal.tenant, session.id, newest=MAX_RUNS)
    return session, [message for turn in turns for message in transcript(turn)]


def delete_session(
    principal: Principal, session_id: str, *, conversations: ConversationStore
) -> None:
    """
    Delete a session with its runs. A run that is under way is fenced off and stops.

    Raises:
        ForbiddenError: The token lacks the scope.
        SessionNotFoundError: There is none, or the caller may not see it; both look the same.
        StoreUnavailableError: Something may be left; deleting again goes on.
    """
    principal.check_may_write()
    session = _visible(principal, session_id, conversations)
    conversations.delete(principal.tenant, session.id)


def _visible(principal: Principal, wanted: str, conversations: ConversationStore) -> Session:
    if not ID_PATTERN.fullmatch(wanted):
        raise SessionNotFoundError(wanted[:100])
    session = conversations.session(principal.tenant, _canonical(wanted))
    if not principal.may_see(session.user_id):
        raise SessionNotFoundError(wanted)
    return session


def _canonical(session_id: str) -> str:
    """Spell a UUID as the runs of its session do; leave any other id as it is."""
    try:
        return str(UUID(session_id))
    except ValueError:
        return session_id
