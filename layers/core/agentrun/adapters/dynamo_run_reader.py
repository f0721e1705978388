"""Reading runs from DynamoDB: one whole, or many cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo_batch import DynamoBatches
from agentrun.adapters.dynamo_chunks import read_text
from agentrun.adapters.dynamo_client import unavailable_when_failing
from agentrun.adapters.dynamo_items import Item, chunk_sks, header_key, run_from_header, run_pk
from agentrun.adapters.text_chunks import cut_utf8, decompress
from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.turns import Checkpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TEXTS = ("input", "output")


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
        if "Item" not in answer:
            raise RunNotFoundError(key.run_id)
        return answer["Item"]

    def checkpoint(self, key: RunKey) -> Checkpoint:
        """Read what a PAUSED run has left for whoever continues it; see the port."""
        text = read_text(self._client, self._table, self.read_header(key), "checkpoint")
        if text is None:
            raise RunNotFoundError(key.run_id)
        return Checkpoint.model_validate_json(text)

    def get_many(self, keys: Sequence[RunKey], *, with_text: bool) -> dict[RunKey, AgentRun]:
        """Read up to 100 runs with their texts cut or left out; see the port."""
        items = {
            (run := run_from_header(item)).key: (run, item)
            for item in self._batch.read([header_key(key) for key in keys], consistent=False)
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
            (run_pk(key), sort_keys[0]): (key, name, len(sort_keys) > 1)
            for key, item in items.items()
            for name in _TEXTS
            if (sort_keys := chunk_sks(item, name))
        }
        previews: dict[RunKey, dict[str, object]] = {}
        chunk_keys = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in wanted]
        for item in self._batch.read(chunk_keys, consistent=False):
            if "text" not in item:
                # Erased since its header was read.
                continue
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
    for name in _TEXTS:
        text = getattr(run, name)
        if text is not None:
            cut[name], was_cut = cut_utf8(text)
            cut[f"{name}_truncated"] = was_cut or None
    return cut
