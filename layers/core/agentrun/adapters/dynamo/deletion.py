"""Deletes sessions with their runs, so that nothing that is written late for them stays."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import (
    MAX_WRITES,
    DynamoBatches,
    TransactionRefusedError,
    error_code,
    unavailable_when_failing,
    write_all,
)
from agentrun.adapters.dynamo.items import (
    CHUNKED_TEXTS,
    POINTER_PREFIX,
    Item,
    chunk_sk,
    chunk_sks,
    header_key,
    is_chunk,
    is_erased,
    pointed_run_id,
    run_pk,
    session_key,
    session_pk,
)
from agentrun.adapters.dynamo.texts import ERASED_FOR, erased_place
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.errors import SessionNotFoundError, StoreUnavailableError
from agentrun.domain.runs import RunKey, RunStatus
from agentrun.domain.value import from_epoch_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_HEADER = 0
"""Where the header stands in the transaction; the places are behind it."""


class DynamoRunErasure:
    """
    Erases runs in an order that can be interrupted anywhere and begun again.

    An executor puts its chunks before the header's condition fences it, each text's one after the
    other, and it may be late. So a run's header is replaced by a mark in one transaction that also
    marks the first free place of each text of its executor: from then on nobody can commit an end
    or start the run anew, and the executor is refused at that place if not before. Then whatever
    else the run has is deleted, and each chunk replaced by a mark, so that none of them can come
    again. A run that ended longer ago than marks last is only deleted.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        batches: DynamoBatches,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._table = table
        self._batches = batches
        self._now = now

    def erase(self, runs: Sequence[RunKey], *, check_time: Callable[[], None]) -> None:
        """
        Erase runs; those that are gone, wholly or in part, are no error.

        Args:
            runs: About as many as one batch may write.
            check_time: Is called between steps; raises what ends the erasure too early.

        Raises:
            StoreUnavailableError: Something may be left; retrying is safe.
        """
        read = self._batches.read([*map(header_key, runs)], consistent=True)
        headers = [header for header in read if not is_erased(header)]
        past = {header["pk"]["S"]: header for header in headers if self._is_past(header)}
        for header in headers:
            if header["pk"]["S"] not in past:
                self._remove_header(header, check_time)
        self._batches.delete([_key(header) for header in past.values()])
        marked: list[Item] = []
        deleted: list[Item] = []
        for key in (key for run in runs for page in self._left(run) for key in page):
            (marked if is_chunk(key) and key["pk"]["S"] not in past else deleted).append(key)
        at = self._now()
        self._batches.put([erased_place(key, at) for key in marked])
        self._batches.delete(deleted)

    def _is_past(self, header: Item) -> bool:
        """Tell whether a run ended so long ago that nobody writes for it any more."""
        changed_at = from_epoch_ms(int(header["updatedAt"]["N"]))
        has_ended = RunStatus(header["status"]["S"]).is_terminal
        return has_ended and self._now() - changed_at > ERASED_FOR

    def _remove_header(self, header: Item, check_time: Callable[[], None]) -> None:
        """Remove a header and stop its executor, all or nothing."""
        found: Item | None = header
        while found is not None:
            try:
                self._remove_with_places(found, check_time)
            except TransactionRefusedError:
                # Another executor has the run, or somebody else has removed it.
                check_time()
                read = self._batches.read([_key(header)], consistent=True)
                found = next((item for item in read if not is_erased(item)), None)
            else:
                return

    def _remove_with_places(self, header: Item, check_time: Callable[[], None]) -> None:
        """
        Remove a header if its executor is still the same, and mark where that would go on.

        Raises:
            TransactionRefusedError: The header is not as it was.
        """
        places = {text: _first_place(header, text) for text in CHUNKED_TEXTS}
        while True:
            check_time()
            try:
                write_all(self._client, self._removal(header, places))
            except TransactionRefusedError as refused:
                if refused.is_of(_HEADER):
                    raise
                for number, text in enumerate(places, _HEADER + 1):
                    places[text] += refused.is_of(number)
            else:
                return

    def _removal(self, header: Item, places: dict[str, int]) -> list[dict[str, Any]]:
        executor, at = header["executor"], self._now()
        removed = {
            "TableName": self._table,
            "Item": erased_place(header, at),
            "ConditionExpression": "executor = :executor",
            "ExpressionAttributeValues": {":executor": executor},
        }
        sort_keys = [chunk_sk(text, executor["S"], place) for text, place in places.items()]
        marks = [erased_place({"pk": header["pk"], "sk": {"S": sk}}, at) for sk in sort_keys]
        free = {"TableName": self._table, "ConditionExpression": "attribute_not_exists(pk)"}
        return [{"Put": removed}, *({"Put": {**free, "Item": mark}} for mark in marks)]

    def _left(self, run: RunKey) -> Iterator[list[Item]]:
        """Yield the keys of whatever a run has but marks."""
        with unavailable_when_failing():
            for page in self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                FilterExpression=(
                    "attribute_not_exists(#ttl) OR attribute_exists(#text)"
                    " OR attribute_exists(#events)"
                ),
                ExpressionAttributeNames={"#ttl": "ttl", "#text": "text", "#events": "events"},
                ExpressionAttributeValues={":pk": {"S": run_pk(run)}},
                ProjectionExpression="pk, sk",
                ConsistentRead=True,
            ):
                yield list(page["Items"])


def _key(item: Item) -> dict[str, Any]:
    return {name: item[name] for name in ("pk", "sk")}


def _first_place(header: Item, text: str) -> int:
    """Return the first place of a text that the header's executor may not have written to yet."""
    is_own = header.get("chunksBy") == header["executor"]
    return len(chunk_sks(header, text)) if is_own else 0


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
        # moto, unlike DynamoDB, gives back only what has changed.
        marked = answer.get("Attributes") or self._session(tenant, session_id)
        if marked and "deleting" not in marked:
            return self._mark(tenant, session_id)
        return marked["deleting"]["S"] if marked else None

    def _session(self, tenant: str, session_id: str) -> Item:
        with unavailable_when_failing():
            answer = self._client.get_item(
                TableName=self._table, Key=session_key(tenant, session_id), ConsistentRead=True
            )
        return answer.get("Item", {})

    def _pointers(self, tenant: str, session_id: str) -> Iterator[list[Item]]:
        """Yield the keys of the pointers by the batch, the newest first: a live run is fenced."""
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
