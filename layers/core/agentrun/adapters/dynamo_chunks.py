"""Texts that lie beside their run's header, in items of their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_items import Item, chunk_sk, chunk_sks, run_pk
from agentrun.adapters.text_chunks import decompress, from_chunks, from_slices
from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WITH_PREVIEW = frozenset({"input", "output"})
"""The texts whose first chunk can be read alone (`to_chunks`); the others are only sliced."""


def read_text(client: "DynamoDBClient", table: str, header: Item, text: str) -> str | None:
    """
    Give `input`, `output`, `messages` or `checkpoint` of a run, wherever it lies; None when unset.

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
        chunks = [item["text"]["B"] for page in pages for item in page["Items"]]
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
    """Give the items of texts that one execution leaves; the checkpoint goes away by itself."""
    items: list[dict[str, Any]] = []
    for text, chunks in texts.items():
        for number, chunk in enumerate(chunks):
            sort_key = {"S": chunk_sk(text, executor, number)}
            item: dict[str, Any] = {"pk": {"S": run_pk(key)}, "sk": sort_key, "text": {"B": chunk}}
            if text == "checkpoint" and checkpoint_until is not None:
                item["ttl"] = {"N": str(int(checkpoint_until.timestamp()))}
            items.append(item)
    return items
