"""Deletes sessions: what runs have left first, the session itself last."""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo_batch import MAX_WRITES, DynamoBatches
from agentrun.adapters.dynamo_client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo_conversation_items import pointed_run_id
from agentrun.adapters.dynamo_items import POINTER_PREFIX, Item, session_key, session_pk
from agentrun.adapters.dynamo_run_erasure import DynamoRunErasure
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.errors import SessionNotFoundError, StoreUnavailableError
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUDGET_S = 10.0
"""Leaves time to answer within the function's 15 s that something is left."""


class DynamoDeletion:
    """
    Deletes sessions in an order that can be interrupted anywhere and begun again.

    Runs are erased first, their pointers go after them, and the session after all pointers.

    Before the pointers are read the session gets a mark, which every start removes: a session that
    has the mark yet has no pointer that was not seen. Those who delete it at once share the mark.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        batches: DynamoBatches,
        *,
        budget_s: float = BUDGET_S,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._batches = batches
        self._erasure = DynamoRunErasure(client, table, batches, now=now or SystemClock().now)
        self._budget_s = budget_s
        self._monotonic = monotonic

    def delete(self, tenant: str, session_id: str) -> None:
        """Delete a session and all that belongs to it; see the port."""
        give_up_at = self._monotonic() + self._budget_s

        def check_time() -> None:
            if self._monotonic() >= give_up_at:
                raise StoreUnavailableError("Not all of the session could be deleted in time.")

        mark = self._mark(tenant, session_id)
        if mark is None:
            raise SessionNotFoundError(session_id)
        while mark is not None:
            for pointers in self._pointers(tenant, session_id):
                runs = [RunKey(tenant=tenant, run_id=pointed_run_id(p)) for p in pointers]
                self._erasure.erase(runs, check_time=check_time)
                self._batches.delete(pointers)
                check_time()
            if self._delete_unused_since(tenant, session_id, mark):
                return
            mark = self._mark(tenant, session_id)

    def _mark(self, tenant: str, session_id: str) -> str | None:
        """Mark a session, or find the mark that it has; None where there is no session."""
        try:
            with unavailable_when_failing():
                answer = self._client.update_item(
                    TableName=self._table,
                    Key=session_key(tenant, session_id),
                    ConditionExpression="attribute_exists(pk)",
                    UpdateExpression="SET deleting = if_not_exists(deleting, :mark)",
                    ExpressionAttributeValues={":mark": {"S": uuid.uuid4().hex}},
                    ReturnValues="UPDATED_NEW",
                )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return None
            raise
        return answer["Attributes"]["deleting"]["S"]

    def _pointers(self, tenant: str, session_id: str) -> Iterator[list[Item]]:
        """Give the keys of the pointers by the batch, the newest first: a live run is fenced."""
        with unavailable_when_failing():
            for page in self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :runs)",
                ExpressionAttributeValues={
                    ":pk": {"S": session_pk(tenant, session_id)},
                    ":runs": {"S": POINTER_PREFIX},
                },
                ProjectionExpression="pk, sk",
                ScanIndexForward=False,
                ConsistentRead=True,
                PaginationConfig={"PageSize": MAX_WRITES},
            ):
                yield list(page["Items"])

    def _delete_unused_since(self, tenant: str, session_id: str, mark: str) -> bool:
        """Delete a session's own item, unless a run has been started in it since it was marked."""
        try:
            with unavailable_when_failing():
                self._client.delete_item(
                    TableName=self._table,
                    Key=session_key(tenant, session_id),
                    ConditionExpression="deleting = :mark",
                    ExpressionAttributeValues={":mark": {"S": mark}},
                )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True
