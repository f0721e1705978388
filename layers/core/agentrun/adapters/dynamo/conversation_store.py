"""Conversations in DynamoDB: sessions, the runs in them, and what was said."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.client import DynamoBatches, unavailable_when_failing
from agentrun.adapters.dynamo.deletion import DynamoDeletion
from agentrun.adapters.dynamo.items import (
    POINTER_PREFIX,
    Item,
    pointed_run_id,
    session_from_item,
    session_key,
    session_pk,
)
from agentrun.adapters.dynamo.past_turns import DynamoTurns
from agentrun.adapters.dynamo.request_runs import DynamoRequestRuns
from agentrun.adapters.dynamo.session_list import DynamoSessionList
from agentrun.adapters.dynamo.session_lock import lock_of
from agentrun.domain.conversations import PastTurn, Session, SessionLock, SessionPage
from agentrun.domain.errors import SessionNotFoundError
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HISTORY_BYTES = 2_000_000
"""More text than any model takes at once."""


class DynamoConversationStore:
    """The port `ConversationStore` on the project's table."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        turns_limit_bytes: int = HISTORY_BYTES,
        batches: DynamoBatches | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """
        Take a client and the table's name.

        Args:
            client: With which to read and delete.
            table: The project's table.
            turns_limit_bytes: How much UTF-8 `turns` gives at most, but for the last turn that it
                gives whole.
            batches: Reads and deletes many items at once.
            now: Gives the present instant, aware; the system's time if there is none.
        """
        self._client = client
        self._table = table
        self._batches = batches or DynamoBatches(client, table)
        self._turns = DynamoTurns(client, table, self._batches, limit_bytes=turns_limit_bytes)
        self._deletion = DynamoDeletion(client, table, self._batches, now=now)

    def lock(self, tenant: str, session_id: str) -> SessionLock:
        """Tell who uses a session; see the port."""
        return lock_of(self._item(tenant, session_id))

    def session(self, tenant: str, session_id: str) -> Session:
        """Read one session, with all that was written before; see the port."""
        item = self._item(tenant, session_id)
        if not item:
            raise SessionNotFoundError(session_id)
        return session_from_item(item)

    def turns(
        self, tenant: str, session_id: str, *, newest: int | None, except_run: str | None = None
    ) -> Sequence[PastTurn]:
        """Return the ended runs of a session, the oldest first; see the port."""
        return self._turns.newest(tenant, session_id, newest=newest, except_run=except_run)

    def run_keys(self, tenant: str, session_id: str) -> Sequence[RunKey]:
        """Return the runs of a session, the oldest first; see the port."""
        with unavailable_when_failing():
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :runs)",
                ExpressionAttributeValues={
                    ":pk": {"S": session_pk(tenant, session_id)},
                    ":runs": {"S": POINTER_PREFIX},
                },
                ConsistentRead=True,
            )
            ids = [pointed_run_id(item) for page in pages for item in page["Items"]]
        return [RunKey(tenant=tenant, run_id=run_id) for run_id in ids]

    def delete(self, tenant: str, session_id: str) -> None:
        """Delete a session and all that belongs to it; see the port."""
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
        """Return a page of a user's sessions, the most recently used first; see the port."""
        listed = DynamoSessionList(self._client, self._table, self._batches, tenant, user_id)
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
        """Return the runs that a user's request has started, the newest first; see the port."""
        return DynamoRequestRuns(self._client, self._table, self._batches).newest(
            tenant, user_id, request, agent_id=agent_id, fingerprint=fingerprint, since=since
        )

    def _item(self, tenant: str, session_id: str) -> Item:
        with unavailable_when_failing():
            answer = self._client.get_item(
                TableName=self._table, Key=session_key(tenant, session_id), ConsistentRead=True
            )
        return answer.get("Item", {})
