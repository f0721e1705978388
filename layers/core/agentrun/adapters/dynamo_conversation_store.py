"""Conversations in DynamoDB: sessions, the runs in them, and what was said."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo_batch import MAX_KEYS, DynamoBatches
from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_conversation_cursor import cursor_at, position_of
from agentrun.adapters.dynamo_conversation_deletion import DynamoDeletion
from agentrun.adapters.dynamo_conversation_items import (
    pointed_run_id,
    session_from_item,
    session_list_key,
)
from agentrun.adapters.dynamo_conversation_turns import DynamoTurns
from agentrun.adapters.dynamo_items import (
    POINTER_PREFIX,
    Item,
    header_key,
    run_from_header,
    session_key,
    session_pk,
)
from agentrun.adapters.dynamo_run_reader import without_texts
from agentrun.adapters.dynamo_session_lock import lock_of
from agentrun.adapters.dynamo_start import session_title
from agentrun.domain.conversations import PastTurn, Session, SessionLock, SessionPage
from agentrun.domain.errors import SessionNotFoundError
from agentrun.domain.model import iso_milliseconds
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HISTORY_BYTES = 2_000_000
"""More text than any model takes at once."""
INDEX = "sessions"
PAGE_SESSIONS = 100
MAX_SESSIONS_LOOKED_AT = 1_000
"""Bounds what one page may cost where few of a user's sessions are with the agent asked for."""
MAX_SESSIONS_OF_REQUEST = 20
"""How many sessions of one request are looked into, each with a query of its own."""


class DynamoConversationStore:
    """The port `ConversationStore` on the project's table."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        turns_limit_bytes: int = HISTORY_BYTES,
        batches: DynamoBatches | None = None,
    ) -> None:
        """
        Take a client and the table's name.

        Args:
            client: With which to read and delete.
            table: The project's table.
            turns_limit_bytes: How much UTF-8 `turns` gives at most, but for the last turn that it
                gives whole.
            batches: Reads and deletes many items at once.
        """
        self._client = client
        self._table = table
        self._batches = batches or DynamoBatches(client, table)
        self._turns = DynamoTurns(client, table, self._batches, limit_bytes=turns_limit_bytes)
        self._deletion = DynamoDeletion(client, table, self._batches)

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
        """Give the ended runs of a session, the oldest first; see the port."""
        return self._turns.newest(tenant, session_id, newest=newest, except_run=except_run)

    def run_keys(self, tenant: str, session_id: str) -> Sequence[RunKey]:
        """Give the runs of a session, the oldest first; see the port."""
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
        self, tenant: str, user_id: str, *, agent_id: str | None, size: int, cursor: str | None
    ) -> SessionPage:
        """Give a user's sessions, the most recently used first; see the port."""
        list_key = session_list_key(tenant, user_id)
        bound = ("<", position_of(list_key, cursor)) if cursor is not None else None
        listed = self._listed(list_key, bound, size + 1 if agent_id is None else PAGE_SESSIONS)
        found: list[Session] = []
        looked_at = ""
        for position, session in islice(listed, MAX_SESSIONS_LOOKED_AT):
            # An id may have started afresh since, as somebody else's: the index lags behind.
            if session and session.user_id == user_id and agent_id in {None, session.agent_id}:
                if len(found) == size:
                    break
                found.append(session)
            looked_at = position
        else:
            if next(listed, None) is None:
                return SessionPage(sessions=tuple(found))
        return SessionPage(sessions=tuple(found), next_cursor=cursor_at(list_key, looked_at))

    def _listed(
        self, list_key: str, bound: tuple[str, str] | None, page_size: int
    ) -> Iterator[tuple[str, Session | None]]:
        """
        Give the positions of a list and their sessions, None for one that is gone by now.

        `bound` is how the positions compare with another one.
        """
        condition, values = "gsi1pk = :list", {":list": {"S": list_key}}
        if bound is not None:
            condition += f" AND gsi1sk {bound[0]} :bound"
            values[":bound"] = {"S": bound[1]}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            PaginationConfig={"PageSize": page_size},
        )
        with unavailable_when_failing():
            for page in pages:
                keys: Any = [{name: item[name] for name in ("pk", "sk")} for item in page["Items"]]
                items = {
                    item["pk"]["S"]: item for item in self._batches.read(keys, consistent=True)
                }
                for listed in page["Items"]:
                    item = items.get(listed["pk"]["S"])
                    session = None if item is None else session_from_item(item)
                    yield listed["gsi1sk"]["S"], session

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
        if request.session_id is not None:
            sessions = [str(request.session_id)]
        else:
            sessions = self._begun_by(tenant, user_id, request, agent_id, since)
        keys = [
            RunKey(tenant=tenant, run_id=run_id)
            for session_id in sessions
            for run_id in self._pointed_since(tenant, session_id, fingerprint, since)
        ]
        headers = self._batches.read([*map(header_key, keys[:MAX_KEYS])], consistent=True)
        runs = [without_texts(run_from_header(header)) for header in headers]
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
        list_key, title = session_list_key(tenant, user_id), session_title(request)
        listed = self._listed(list_key, (">=", iso_milliseconds(since)), PAGE_SESSIONS)
        begun: list[str] = []
        for number, (_, session) in enumerate(islice(listed, MAX_SESSIONS_LOOKED_AT)):
            if begun and number % PAGE_SESSIONS == 0:
                break
            if (
                session is not None
                and (session.user_id, session.agent_id) == (user_id, agent_id)
                and session.title == title
                and session.created_at >= since
            ):
                begun.append(session.id)
        return begun[:MAX_SESSIONS_OF_REQUEST]

    def _pointed_since(
        self, tenant: str, session_id: str, fingerprint: str, since: datetime
    ) -> list[str]:
        """Name the runs with this fingerprint in a session's newest pointers, the newest first."""
        with unavailable_when_failing():
            # One page, at most 1 MB (Query API reference), is thousands of runs.
            page = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :since AND :last",
                FilterExpression="fingerprint = :fingerprint",
                ExpressionAttributeValues={
                    ":pk": {"S": session_pk(tenant, session_id)},
                    ":since": {"S": f"{POINTER_PREFIX}{iso_milliseconds(since)}"},
                    ":last": {"S": f"{POINTER_PREFIX}~"},
                    ":fingerprint": {"S": fingerprint},
                },
                ScanIndexForward=False,
                ConsistentRead=True,
            )
        return [pointed_run_id(pointer) for pointer in page["Items"]]

    def _item(self, tenant: str, session_id: str) -> Item:
        with unavailable_when_failing():
            answer = self._client.get_item(
                TableName=self._table, Key=session_key(tenant, session_id), ConsistentRead=True
            )
        return answer.get("Item", {})
