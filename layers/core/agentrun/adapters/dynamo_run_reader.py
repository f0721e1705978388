"""Reading runs from DynamoDB: one whole, or many cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo_batch import BatchReader
from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_items import (
    Item,
    chunk_count,
    header_key,
    output_sk,
    request_sk,
    run_from_header,
    run_pk,
)
from agentrun.adapters.text_chunks import cut_utf8, decompress, from_chunks
from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.runs import AgentRun, RunKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TEXT_CHUNK_SK = {"input": request_sk, "output": output_sk}


class DynamoRunReader:
    """The reading half of the port `RunStore`."""

    def __init__(
        self, client: "DynamoDBClient", table: str, *, batch: BatchReader | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._batch = batch or BatchReader(client, table)

    def get(self, key: RunKey) -> AgentRun:
        """Read one run whole, with all that was written before; see the port."""
        item = self.read_header(key)
        texts = {
            name: self._read_chunks(key, name, count)
            for name in _TEXT_CHUNK_SK
            if (count := chunk_count(item, name))
        }
        return run_from_header(item).model_copy(update=texts)

    def get_state(self, key: RunKey) -> AgentRun:
        """Read one run without its texts, with all that was written before; see the port."""
        return without_texts(run_from_header(self.read_header(key)))

    def read_header(self, key: RunKey) -> Item:
        """Read a run's header with all that was written before; errors as in `get`."""
        with unavailable_when_failing():
            answer = self._client.get_item(
                TableName=self._table, Key=header_key(key), ConsistentRead=True
            )
        if "Item" not in answer:
            raise RunNotFoundError(key.run_id)
        return answer["Item"]

    def _read_chunks(self, key: RunKey, name: str, count: int) -> str:
        sort_key = _TEXT_CHUNK_SK[name]
        with unavailable_when_failing():
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": {"S": run_pk(key)},
                    ":first": {"S": sort_key(0)},
                    ":last": {"S": sort_key(count - 1)},
                },
                ConsistentRead=True,
            )
            return from_chunks([item["text"]["B"] for page in pages for item in page["Items"]])

    def get_many(self, keys: Sequence[RunKey], *, with_text: bool) -> dict[RunKey, AgentRun]:
        """Read up to 100 runs with their texts cut or left out; see the port."""
        items = {
            (run := run_from_header(item)).key: (run, item)
            for item in self._batch.read([header_key(key) for key in keys])
        }
        if not with_text:
            return {key: without_texts(run) for key, (run, _) in items.items()}
        previews = self._read_previews({key: item for key, (_, item) in items.items()})
        return {
            key: run.model_copy(update=_cut_texts(run) | previews.get(key, {}))
            for key, (run, _) in items.items()
        }

    def _read_previews(self, items: dict[RunKey, Item]) -> dict[RunKey, dict[str, object]]:
        """Read the first chunk of each text that lies outside its header; usually none does."""
        wanted = {
            (run_pk(key), sort_key(0)): (key, name, chunk_count(item, name) > 1)
            for key, item in items.items()
            for name, sort_key in _TEXT_CHUNK_SK.items()
            if chunk_count(item, name)
        }
        previews: dict[RunKey, dict[str, object]] = {}
        for item in self._batch.read([{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in wanted]):
            key, name, was_cut = wanted[item["pk"]["S"], item["sk"]["S"]]
            texts = previews.setdefault(key, {})
            texts[name] = decompress(item["text"]["B"])
            texts[f"{name}_truncated"] = was_cut or None
        return previews


def without_texts(run: AgentRun) -> AgentRun:
    """Leave out what a header may or may not hold."""
    return run.model_copy(update={"input": None, "output": None})


def _cut_texts(run: AgentRun) -> dict[str, object]:
    cut: dict[str, object] = {}
    for name in _TEXT_CHUNK_SK:
        text = getattr(run, name)
        if text is not None:
            cut[name], was_cut = cut_utf8(text)
            cut[f"{name}_truncated"] = was_cut or None
    return cut
