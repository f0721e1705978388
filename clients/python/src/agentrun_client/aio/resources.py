"""Agents, sessions and approvals."""

from collections.abc import AsyncIterator, Sequence

from agentrun_client.aio.transport import AsyncTransport
from agentrun_client.models.actions import Verdict
from agentrun_client.models.agents import Agent
from agentrun_client.models.approvals import Approval
from agentrun_client.models.runs import Run
from agentrun_client.models.sessions import Message, Session
from agentrun_client.wire import other_calls
from agentrun_client.wire.page import PAGE_SIZE


class AsyncAgents:
    """What `client.agents` offers."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Take what sends the requests."""
        self._transport = transport

    async def list(self, *, include_inactive: bool = False) -> Sequence[Agent]:
        """Read all agents, those that cannot be run only if asked for."""
        return await self._transport.send(
            other_calls.list_agents(include_inactive=include_inactive)
        )

    async def get(self, agent: str) -> Agent:
        """
        Read one agent.

        Raises:
            NotFoundError: There is none of this id.
        """
        return await self._transport.send(other_calls.get_agent(agent))


class AsyncSessions:
    """What `client.sessions` offers: the caller's conversations."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Take what sends the requests."""
        self._transport = transport

    def list(
        self, *, agent_id: str | None = None, user_id: str | None = None
    ) -> AsyncIterator[Session]:
        """Iterate over all sessions, the most recently used first; an admin may name a user."""
        return self._transport.pages(
            lambda cursor: other_calls.list_sessions(agent_id, user_id, PAGE_SIZE, cursor)
        )

    async def get(self, session_id: str) -> Session:
        """
        Read one session and, as `messages`, what was said in it.

        Raises:
            NotFoundError: There is none of this id, or it is somebody else's.
        """
        return await self._transport.send(other_calls.get_session(session_id))

    async def runs(self, session_id: str) -> Sequence[Run]:
        """Read a session's runs, the oldest first, their texts cut to 4096 bytes."""
        return await self._transport.send(other_calls.session_runs(session_id))

    async def messages(self, session_id: str) -> Sequence[Message]:
        """Read what was said in the session's runs that have ended, the oldest first."""
        return await self._transport.send(other_calls.session_messages(session_id))

    async def delete(self, session_id: str) -> None:
        """Delete a session with its messages, runs and events."""
        await self._transport.send(other_calls.delete_session(session_id))


class AsyncApprovals:
    """What `client.approvals` offers: what waits for a decision, in all of the caller's runs."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Take what sends the requests."""
        self._transport = transport

    def pending(self) -> AsyncIterator[Approval]:
        """Iterate over all that waits for a decision, the oldest first."""
        return self._transport.pages(
            lambda cursor: other_calls.pending_approvals(PAGE_SIZE, cursor)
        )

    async def get(self, approval_id: str) -> Approval:
        """
        Read one approval, decided or not.

        Raises:
            NotFoundError: There is none of this id, or its events are gone.
        """
        return await self._transport.send(other_calls.get_approval(approval_id))

    async def resolve(self, approval_id: str, verdict: Verdict) -> Run:
        """
        Decide all calls of an approval with `approve()` or `reject(reason)`.

        The run goes on in the background. A lost answer is not repeated: read the approval then.

        Raises:
            ConflictError: Somebody has decided already.
        """
        return await self._transport.send(other_calls.resolve_approval(approval_id, verdict))
