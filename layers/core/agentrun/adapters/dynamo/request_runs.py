"""The runs that one request has started, found by its fingerprint in the sessions' pointers."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.client import MAX_KEYS, DynamoBatches, unavailable_when_failing
from agentrun.adapters.dynamo.items import (
    POINTER_PREFIX,
    header_key,
    is_erased,
    pointed_run_id,
    run_from_header,
    session_pk,
)
from agentrun.adapters.dynamo.run_reader import without_texts
from agentrun.adapters.dynamo.session_list import DynamoSessionList
from agentrun.adapters.dynamo.start_transaction import session_title
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.value import iso_milliseconds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_PAGES_OF_SESSIONS = 10
"""Bounds what a request costs whose user has begun very many sessions."""
MAX_SESSIONS = 20
"""How many sessions of one request are looked into, each with a query of its own."""


class DynamoRequestRuns:
    """Finds runs by the requests that have started them."""

    def __init__(self, client: "DynamoDBClient", table: str, batches: DynamoBatches) -> None:
        self._client = client
        self._table = table
        self._batches = batches

    def newest(
        self,
        tenant: str,
        user_id: str,
        request: RunRequest,
        *,
        agent_id: str,
        fingerprint: str,
        since: datetime,
    ) -> Sequence[AgentRun]:
        """Return a request's runs, the newest first; see the port's `runs_of_request`."""
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
        found = [header for header in headers if not is_erased(header)]
        runs = [without_texts(run_from_header(header)) for header in found]
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
        listed = DynamoSessionList(self._client, self._table, self._batches, tenant, user_id)
        title = session_title(request)
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
