"""Erases runs, so that also what an executor writes late for one of them does not stay."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo_batch import DynamoBatches
from agentrun.adapters.dynamo_chunks import ERASED_FOR, erased_place
from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_items import (
    CHUNKED_TEXTS,
    Item,
    chunk_sk,
    chunk_sks,
    header_key,
    is_chunk,
    run_pk,
)
from agentrun.adapters.dynamo_transaction import TransactionRefusedError, write_all
from agentrun.domain.model import from_epoch_ms
from agentrun.domain.runs import RunKey, RunStatus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_HEADER = 0
"""Where the header stands in the transaction; the places are behind it."""


class DynamoRunErasure:
    """
    Erases runs in an order that can be interrupted anywhere and begun again.

    An executor puts its chunks before the header's condition fences it, each text's one after the
    other, and it may be late. So a run's header goes in one transaction that also marks the first
    free place of each text of its executor: from then on nobody can commit an end, and the executor
    is refused at that place if not before. Then whatever else the run has is deleted, and each
    chunk replaced by a mark, so that none of them can come again. A run that ended longer ago than
    marks last is only deleted.
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
        headers = self._batches.read([*map(header_key, runs)], consistent=True)
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
                found = read[0] if read else None
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
            "Key": _key(header),
            "ConditionExpression": "executor = :executor",
            "ExpressionAttributeValues": {":executor": executor},
        }
        sort_keys = [chunk_sk(text, executor["S"], place) for text, place in places.items()]
        marks = [erased_place({"pk": header["pk"], "sk": {"S": sk}}, at) for sk in sort_keys]
        free = {"TableName": self._table, "ConditionExpression": "attribute_not_exists(pk)"}
        return [{"Delete": removed}, *({"Put": {**free, "Item": mark}} for mark in marks)]

    def _left(self, run: RunKey) -> Iterator[list[Item]]:
        """Give the keys of whatever a run has but marks."""
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
    """Give the first place of a text that the header's executor may not have written to yet."""
    is_own = header.get("chunksBy") == header["executor"]
    return len(chunk_sks(header, text)) if is_own else 0
