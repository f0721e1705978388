"""
moto's DynamoDB Streams, as AWS has them.

moto keeps every record and every iterator for ever, makes records of updates that change nothing,
and leaves those of transactions that it rolls back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, table
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamShard
from moto.dynamodbstreams.models import DynamoDBStreamsBackend

KEPT_RECORDS = 10_000
"""AWS keeps them for a day; this is a few minutes of all that a laptop can write."""
_KEPT_ITERATORS = 1_000
_get_records = DynamoDBStreamsBackend.get_records


class BoundedShard(StreamShard):
    """A shard that forgets its oldest records."""

    @property
    def end(self) -> int:
        """The sequence number of the next record."""
        return self.starting_sequence_number + len(self.items)

    def add(self, old: Item | None, new: Item | None) -> None:
        """Append a record of a write that has changed something."""
        if old is not None and new is not None and old.to_json() == new.to_json():
            return
        super().add(old, new)
        surplus = len(self.items) - KEPT_RECORDS
        if surplus > 0:
            del self.items[:surplus]
            self.starting_sequence_number += surplus

    def get(self, start: int, quantity: int) -> list[dict[str, Any]]:
        """Return records from a sequence number on, or from the oldest that is left."""
        return super().get(max(start, self.starting_sequence_number), quantity)

    def cut_back(self, end: int) -> None:
        """Remove the records from a sequence number on."""
        del self.items[max(0, end - self.starting_sequence_number) :]


def bound_streams() -> None:
    """Let moto make such shards from now on, and drop old iterators."""
    # Assigned by name, because moto looks them up where they are defined.
    setattr(table, "StreamShard", BoundedShard)  # noqa: B010
    setattr(DynamoDBStreamsBackend, "get_records", _get_and_forget)  # noqa: B010


@contextmanager
def undo_records(backend: DynamoDBBackend) -> Iterator[None]:
    """Remove the records of what fails, as moto undoes its writes."""
    shards = [one.stream_shard for one in backend.tables.values()]
    ends = [(shard, shard.end) for shard in shards if isinstance(shard, BoundedShard)]
    try:
        yield
    except BaseException:
        for shard, end in ends:
            shard.cut_back(end)
        raise


def _get_and_forget(
    backend: DynamoDBStreamsBackend, iterator_arn: str, limit: int
) -> dict[str, Any]:
    answer = _get_records(backend, iterator_arn, limit)
    while len(backend.shard_iterators) > _KEPT_ITERATORS:
        del backend.shard_iterators[next(iter(backend.shard_iterators))]
    return answer
