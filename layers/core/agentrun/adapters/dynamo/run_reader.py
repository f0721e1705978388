"""Reading runs from DynamoDB: one whole, or many cut."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.client import DynamoBatches, unavailable_when_failing
from agentrun.adapters.dynamo.items import (
    Item,
    chunk_sks,
    cut_utf8,
    decompress,
    header_key,
    is_erased,
    run_from_header,
)
from agentrun.adapters.dynamo.texts import read_text
from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.turns import Checkpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TEXTS = ("input", "output")
_Place = tuple[str, str]
"""The partition and the sort key of an item."""


class DynamoRunReader:
    """The reading half of the port `RunStore`."""

    def __init__(
        self, client: "DynamoDBClient", table: str, *, batch: DynamoBatches | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._batch = batch or DynamoBatches(client, table)

    def get(self, key: RunKey) -> AgentRun:
        """Read one run whole, with all that was written before; see the port."""
        item = self.read_header(key)
        texts = {name: read_text(self._client, self._table, item, name) for name in _TEXTS}
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
        if "Item" not in answer or is_erased(answer["Item"]):
            raise RunNotFoundError(key.run_id)
        return answer["Item"]

    def checkpoint(self, key: RunKey) -> Checkpoint:
        """Read what is needed to continue a PAUSED run; see the port."""
        text = read_text(self._client, self._table, self.read_header(key), "checkpoint")
        if text is None:
            raise RunNotFoundError(key.run_id)
        return Checkpoint.model_validate_json(text)

    def get_many(
        self, keys: Sequence[RunKey], *, with_text: bool, consistent: bool = False
    ) -> dict[RunKey, AgentRun]:
        """Read up to 100 runs with their texts cut or left out; see the port."""
        read = self._batch.read([header_key(key) for key in keys], consistent=consistent)
        items = {
            (run := run_from_header(item)).key: (run, item) for item in read if not is_erased(item)
        }
        if not with_text:
            return {key: without_texts(run) for key, (run, _) in items.items()}
        wanted = {key: _first_chunks(item) for key, (_, item) in items.items()}
        chunks = self._chunks([at for each in wanted.values() for at in each.values()], consistent)
        return {
            key: run.model_copy(update=_cut_texts(run) | _previews(item, wanted[key], chunks))
            for key, (run, item) in items.items()
            # Without all of its chunks it has been deleted since its header was read.
            if all(at in chunks for at in wanted[key].values())
        }

    def _chunks(self, keys: Sequence[_Place], consistent: bool) -> dict[_Place, bytes]:
        """Read chunks; one that a read missed which may lag is read again, by one that may not."""
        items = self._batch.read([_primary_key(at) for at in keys], consistent=consistent)
        found = {
            (item["pk"]["S"], item["sk"]["S"]): bytes(item["text"]["B"])
            for item in items
            # Without a text it marks a place that was erased since its header was read.
            if "text" in item
        }
        missing = [] if consistent else [at for at in keys if at not in found]
        return (found | self._chunks(missing, consistent=True)) if missing else found


def _primary_key(at: _Place) -> dict[str, dict[str, str]]:
    return {"pk": {"S": at[0]}, "sk": {"S": at[1]}}


def _first_chunks(header: Item) -> dict[str, _Place]:
    """Say where the first chunk is of each text that lies outside its header; usually none does."""
    return {
        name: (header["pk"]["S"], sort_keys[0])
        for name in _TEXTS
        if (sort_keys := chunk_sks(header, name))
    }


def _previews(
    header: Item, first: Mapping[str, _Place], chunks: Mapping[_Place, bytes]
) -> dict[str, object]:
    texts: dict[str, object] = {}
    for name, at in first.items():
        texts[name] = decompress(chunks[at])
        texts[f"{name}_truncated"] = len(chunk_sks(header, name)) > 1 or None
    return texts


def without_texts(run: AgentRun) -> AgentRun:
    """Leave out what a header may or may not hold."""
    return run.model_copy(update={"input": None, "output": None})


def _cut_texts(run: AgentRun) -> dict[str, object]:
    cut: dict[str, object] = {}
    for name in _TEXTS:
        text = getattr(run, name)
        if text is not None:
            cut[name], was_cut = cut_utf8(text)
            cut[f"{name}_truncated"] = was_cut or None
    return cut
