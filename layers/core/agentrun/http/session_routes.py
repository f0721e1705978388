"""The routes of conversations."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from agentrun.domain.ports import ConversationStore
from agentrun.domain.principal import Principal
from agentrun.http.authentication import Authentication
from agentrun.http.bodies import (
    buffered_answer,
    message_body,
    newest_answer,
    run_body,
    session_answer,
    sessions_body,
)
from agentrun.http.queries import DEFAULT_SIZE, Cursor, OfAgent, OfUser, Page, Size
from agentrun.service.ports import RunPorts
from agentrun.service.reading import sessions


def session_routes(
    authenticate: Authentication,
    *,
    conversations: ConversationStore,
    transcript: sessions.Transcript,
    ports: RunPorts,
) -> APIRouter:
    """Return the routes below `/api/sessions`."""
    router = APIRouter(prefix="/api/sessions")
    _add_sessions(router, authenticate, conversations)
    _add_one_session(router, authenticate, conversations, transcript, ports)
    return router


def _add_sessions(
    router: APIRouter, authenticate: Authentication, conversations: ConversationStore
) -> None:
    Caller = Annotated[Principal, Depends(authenticate)]  # noqa: N806 - a type

    @router.get("")
    async def list_sessions(
        caller: Caller,
        agent_id: OfAgent = None,
        user_id: OfUser = None,
        size: Size = DEFAULT_SIZE,
        page: Page = None,
        cursor: Cursor = None,
    ) -> Response:
        """List the caller's sessions; an empty parameter counts as none."""
        found = sessions.list_sessions(
            caller,
            user_id=user_id,
            agent_id=agent_id,
            size=size,
            page=page,
            cursor=cursor,
            conversations=conversations,
        )
        number = None if cursor else page or 0
        return buffered_answer(sessions_body(found, number=number, size=size))

    @router.delete("/{session_id}", status_code=204)
    async def delete_session(caller: Caller, session_id: str) -> Response:
        """Delete a session with all that belongs to it."""
        sessions.delete_session(caller, session_id, conversations=conversations)
        return Response(status_code=204)


def _add_one_session(
    router: APIRouter,
    authenticate: Authentication,
    conversations: ConversationStore,
    transcript: sessions.Transcript,
    ports: RunPorts,
) -> None:
    Caller = Annotated[Principal, Depends(authenticate)]  # noqa: N806 - a type

    @router.get("/{session_id}")
    async def get_session(caller: Caller, session_id: str) -> Response:
        """Show one session and what was said in it."""
        found, said = sessions.session_with_messages(
            caller, session_id, transcript=transcript, conversations=conversations, ports=ports
        )
        return session_answer(found, said)

    @router.get("/{session_id}/runs")
    async def get_runs(caller: Caller, session_id: str) -> Response:
        """Show a session's runs, the oldest first."""
        runs = sessions.session_runs(caller, session_id, conversations=conversations, ports=ports)
        return newest_answer([run_body(run) for run in runs])

    @router.get("/{session_id}/messages")
    async def get_messages(caller: Caller, session_id: str) -> Response:
        """Show what was said in a session, the oldest first."""
        said = sessions.session_messages(
            caller, session_id, transcript=transcript, conversations=conversations, ports=ports
        )
        return newest_answer([message_body(message) for message in said])
