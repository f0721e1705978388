"""The port for conversations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.conversations import PastTurn, Session, SessionLock, SessionPage
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey


class ConversationStore(Protocol):
    """Reads and deletes conversations; every method blocks."""

    def lock(self, tenant: str, session_id: str) -> SessionLock:
        """
        Tell who uses a session, with all that was written before; a missing one is free.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def turns(
        self, tenant: str, session_id: str, *, newest: int | None, except_run: str | None = None
    ) -> Sequence[PastTurn]:
        """
        Return the ended runs of a session, the oldest first, with all that was written before.

        Runs that are QUEUED, RUNNING or PAUSED are left out. Older turns than fit into the store's
        bound (2 MB of text unless it says otherwise) are left out as well. The output may be cut to
        its first 4096 bytes where the run failed, was cancelled or has `messages`.

        Args:
            tenant: Whose session it is.
            session_id: The session; a missing one has no turns.
            newest: How many of the newest runs are wanted; None for all.
            except_run: A run to be left out in any case.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def session(self, tenant: str, session_id: str) -> Session:
        """
        Read one session.

        Raises:
            SessionNotFoundError: There is none.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def sessions(
        self,
        tenant: str,
        user_id: str,
        *,
        agent_id: str | None,
        size: int,
        skip: int = 0,
        cursor: str | None = None,
    ) -> SessionPage:
        """
        Return a page of a user's sessions, the most recently used first; reads may lag.

        A session that was deleted a moment ago may still be counted, and leave its page one short.

        Args:
            tenant: The user's tenant.
            user_id: Whose sessions.
            agent_id: Only those with this agent.
            size: At most how many, 1 to 100.
            skip: How many to pass over, from the most recently used on; 0 with a cursor.
            cursor: What an earlier page gave as `next_cursor`.

        Raises:
            InvalidRequestError: The cursor is not one that was given out.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def run_keys(self, tenant: str, session_id: str) -> Sequence[RunKey]:
        """
        Return the runs of a session, the oldest first; a missing one has none.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def runs_of_request(
        self,
        tenant: str,
        user_id: str,
        request: RunRequest,
        *,
        agent_id: str,
        fingerprint: str,
        since: datetime,
    ) -> Sequence[AgentRun]:
        """
        Return the runs that a user has started with a request, the newest first.

        Bounded work: of a user who has begun very many sessions the older ones may be left out.
        Where the request names its session, all that was written before the call is found;
        otherwise a run that was started a moment ago may still be missing.

        Args:
            tenant: The user's tenant.
            user_id: Whose runs.
            request: What was asked for.
            agent_id: Of which agent.
            fingerprint: What `RunStore.start` was given with the runs that are looked for.
            since: Runs that were created earlier are left out.

        Returns:
            The runs as they are at the moment, without input and output.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def delete(self, tenant: str, session_id: str) -> None:
        """
        Delete a session, its runs, and all that belongs to them; the id may start afresh.

        A run that is under way is fenced off by that. What is left after an interruption is
        deleted by calling again.

        Raises:
            SessionNotFoundError: There is none.
            StoreUnavailableError: Something may be left; retrying is safe.
        """
        ...
