"""Conversations in DynamoDB: sessions, the runs in them, and what was said."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.deletion import DynamoDeletion
from agentrun.adapters.dynamo.headers import is_erased, run_from_header
from agentrun.adapters.dynamo.items import (
    POINTERS,
    Attribute,
    Item,
    header_key,
    lock_of,
    pointed_run_id,
    session_key,
    session_pk,
    string,
)
from agentrun.adapters.dynamo.past_turns import DynamoTurns
from agentrun.adapters.dynamo.session_list import DynamoSessionList, pointers_of, session_from_item
from agentrun.adapters.dynamo.table import MAX_KEYS, Query, Table
from agentrun.domain.conversations import (
    PastTurn,
    Session,
    SessionLock,
    SessionPage,
    session_title,
)
from agentrun.domain.errors import SessionNotFoundError
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.value import iso_milliseconds

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

HISTORY_BYTES = 2_000_000
"""More text than any model takes at once."""
MAX_PAGES_OF_SESSIONS = 10
"""Bounds what a request costs whose user has begun very many sessions."""
MAX_SESSIONS = 20
"""How many sessions of one request are looked into, each with a query of its own."""


class DynamoConversationStore:
    """The port `ConversationStore` on the project's table."""

    def __init__(
        self,
        table: Table,
        objects: "LargeObjects | None" = None,
        *,
        turns_limit_bytes: int = HISTORY_BYTES,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """
        Take the table.

        Args:
            table: Where to read and delete.
            objects: Where to delete what runs have that was too large for the table.
            turns_limit_bytes: How much UTF-8 `turns` gives at most, but for the last turn that it
                gives whole.
            now: Gives the present instant, aware; the system's time if there is none.
        """
        self._table = table
        self._turns = DynamoTurns(table, limit_bytes=turns_limit_bytes)
        self._deletion = DynamoDeletion(table, objects, now=now)

    def lock(self, tenant: str, session_id: str) -> SessionLock:
        """Tell who uses a session."""
        return lock_of(self._item(tenant, session_id))

    def session(self, tenant: str, session_id: str) -> Session:
        """Read one session, with all that was written before."""
        item = self._item(tenant, session_id)
        if not item:
            raise SessionNotFoundError(session_id)
        return session_from_item(item)

    def turns(
        self, tenant: str, session_id: str, *, newest: int | None, except_run: str | None = None
    ) -> Sequence[PastTurn]:
        """Return the ended runs of a session, the oldest first."""
        return self._turns.newest(tenant, session_id, newest=newest, except_run=except_run)

    def run_keys(self, tenant: str, session_id: str) -> Sequence[RunKey]:
        """Return the runs of a session, the oldest first."""
        pages = self._table.pages(pointers_of(tenant, session_id))
        ids = [pointed_run_id(item) for page in pages for item in page]
        return [RunKey(tenant=tenant, run_id=run_id) for run_id in ids]

    def delete(self, tenant: str, session_id: str) -> None:
        """Delete a session and all that belongs to it."""
        self._deletion.delete(tenant, session_id)

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
        """Return a page of a user's sessions, the most recently used first."""
        listed = DynamoSessionList(self._table, tenant, user_id)
        if agent_id is None:
            return listed.page(size=size, skip=skip, cursor=cursor)
        return listed.page_of_agent(agent_id, size=size, skip=skip, cursor=cursor)

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
        """Return the runs that a user's request has started, the newest first."""
        if request.session_id is not None:
            sessions = [str(request.session_id)]
        else:
            sessions = self._begun_by(tenant, user_id, request, agent_id, since)
        keys = [
            RunKey(tenant=tenant, run_id=run_id)
            for session_id in sessions
            for run_id in self._pointed_since(tenant, session_id, fingerprint, since)
        ]
        headers = self._table.items([*map(header_key, keys[:MAX_KEYS])], consistent=True)
        found = [header for header in headers if not is_erased(header)]
        runs = [run_from_header(header).without_texts() for header in found]
        # A session's id may be known to anybody, and have started afresh as somebody else's.
        mine = [run for run in runs if (run.user_id, run.agent_id) == (user_id, agent_id)]
        return sorted(mine, key=lambda run: (run.created_at, run.id), reverse=True)

    def _begun_by(
        self, tenant: str, user_id: str, request: RunRequest, agent_id: str, since: datetime
    ) -> list[str]:
        """
        Name the newest sessions that a request may have begun: its message is their title.

        Looks at pages of the user's sessions until one of them has such a session.
        """
        listed = DynamoSessionList(self._table, tenant, user_id)
        title = session_title(request.message)
        for page in islice(listed.used_since(since), MAX_PAGES_OF_SESSIONS):
            begun = [
                session.id
                for session in page
                if (session.agent_id, session.title) == (agent_id, title)
                and session.created_at >= since
            ]
            if begun:
                return begun[:MAX_SESSIONS]
        return []

    def _pointed_since(
        self, tenant: str, session_id: str, fingerprint: str, since: datetime
    ) -> list[str]:
        """Name the runs with this fingerprint in a session's newest pointers, the newest first."""
        query = Query(
            f"{Attribute.PK} = :pk AND {Attribute.SK} BETWEEN :since AND :last",
            {
                ":pk": string(session_pk(tenant, session_id)),
                ":since": string(f"{POINTERS}{iso_milliseconds(since)}"),
                ":last": string(f"{POINTERS}~"),
                ":fingerprint": string(fingerprint),
            },
            filtered=f"{Attribute.FINGERPRINT} = :fingerprint",
            newest_first=True,
        )
        # One page, at most 1 MB (Query API reference), is thousands of runs.
        return [pointed_run_id(pointer) for pointer in next(self._table.pages(query))]

    def _item(self, tenant: str, session_id: str) -> Item:
        return self._table.item(session_key(tenant, session_id))
