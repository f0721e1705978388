"""
Texts that lie beside their run's header, in items of their own.

The place of a chunk that was erased is marked for a while: an item of the same key without `text`,
which goes by itself. Nothing is put there any more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo.items import (
    Item,
    chunk_sk,
    chunk_sks,
    decompress,
    from_chunks,
    from_slices,
    run_pk,
)
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WITH_PREVIEW = frozenset({"input", "output"})
"""The texts whose first chunk can be read alone (`to_chunks`); the others are only sliced."""

ERASED_FOR = timedelta(days=2)
"""How long an erased place is marked; no write comes so late, from whatever process."""
_NOT_ERASED = "attribute_not_exists(pk) OR attribute_exists(#text)"
_NOT_OF_LATER_END = "(attribute_not_exists(#end) OR #end <= :end)"


def read_text(client: "DynamoDBClient", table: str, header: Item, text: str) -> str | None:
    """
    Return `input`, `output`, `messages` or `checkpoint` of a run, wherever it lies; None if unset.

    Raises:
        RunNotFoundError: Its chunks have been deleted since the header was read.
        StoreUnavailableError: Retrying is safe.
    """
    if text in header:
        return decompress(header[text]["B"])
    sort_keys = chunk_sks(header, text)
    if not sort_keys:
        return None
    with unavailable_when_failing():
        pages = client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": header["pk"],
                ":first": {"S": sort_keys[0]},
                ":last": {"S": sort_keys[-1]},
            },
            ConsistentRead=True,
        )
        chunks = [i["text"]["B"] for page in pages for i in page["Items"] if "text" in i]
    if len(chunks) != len(sort_keys):
        raise RunNotFoundError(header["pk"]["S"].rpartition("#")[2])
    return from_chunks(chunks) if text in WITH_PREVIEW else from_slices(chunks)


def chunk_items(
    key: RunKey,
    executor: str,
    texts: Mapping[str, Sequence[bytes]],
    *,
    checkpoint_until: datetime | None = None,
) -> list[dict[str, Any]]:
    """Return the items of texts that one execution leaves; the checkpoint goes away by itself."""
    items: list[dict[str, Any]] = []
    for text, chunks in texts.items():
        for number, chunk in enumerate(chunks):
            sort_key = {"S": chunk_sk(text, executor, number)}
            item: dict[str, Any] = {"pk": {"S": run_pk(key)}, "sk": sort_key, "text": {"B": chunk}}
            if text == "checkpoint" and checkpoint_until is not None:
                item["ttl"] = {"N": str(int(checkpoint_until.timestamp()))}
            items.append(item)
    return items


def store_chunk(client: "DynamoDBClient", table: str, chunk: Item, *, end: int) -> None:
    """
    Put a chunk of an execution's end into its place, again or for the first time.

    Args:
        client: With which to write.
        table: The project's table.
        chunk: One of `chunk_items`.
        end: Which end it is that the execution tries, from 0; it replaces those before it.

    Raises:
        FencedError: The place has been erased, or has a later end's chunk; do not retry.
        StoreUnavailableError: Retrying is safe.
    """
    try:
        with unavailable_when_failing():
            client.put_item(
                TableName=table,
                Item={**chunk, **({"end": {"N": str(end)}} if end else {})},
                ConditionExpression=f"({_NOT_ERASED}) AND {_NOT_OF_LATER_END}",
                ExpressionAttributeNames={"#text": "text", "#end": "end"},
                ExpressionAttributeValues={":end": {"N": str(end)}},
            )
    except ClientError as error:
        if error_code(error) == "ConditionalCheckFailedException":
            raise FencedError("The run has been deleted.") from error
        raise


def erased_place(key: Item, at: datetime) -> dict[str, Any]:
    """Return the item that marks a place as erased; has nothing of what was there."""
    ttl_epoch_s = int((at + ERASED_FOR).timestamp())
    return {"pk": key["pk"], "sk": key["sk"], "ttl": {"N": str(ttl_epoch_s)}}
