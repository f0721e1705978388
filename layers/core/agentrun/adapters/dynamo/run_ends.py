"""How a run's execution ends: what of it lies in the header, beside it, and in the bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.headers import attributes
from agentrun.adapters.dynamo.items import (
    CHUNKED_TEXTS,
    MOST_ITEM_BYTES,
    Attribute,
    Item,
    Values,
    count_of_chunks,
    instant,
    number,
    packed,
    size_bytes,
    string,
)
from agentrun.adapters.dynamo.run_writes import RUNNING_HEADER_BYTES, header_update, held_by
from agentrun.adapters.dynamo.table import Table, Write
from agentrun.adapters.dynamo.texts import chunk_items, store_chunk, to_chunks
from agentrun.domain.endings import (
    Completed,
    EndProgress,
    Outcome,
    PausedForDecision,
    changes_at_end,
)
from agentrun.domain.runs import RunKey

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

ENDED_HEADER_BYTES = 4096
"""A poll reads the whole header: 4 KB is half a read unit when it may lag, one when it may not."""
CHECKPOINT_GRACE = timedelta(days=2)
"""How long a checkpoint outlives its pause: a run that is continued at the last moment needs it."""
_CHUNK_NOTES_BYTES = 128
"""What the header takes to say where chunks are."""
_OUTPUT, _MESSAGES, _CHECKPOINT = CHUNKED_TEXTS
_LEFT_BY_AN_END = (
    *(_OUTPUT, count_of_chunks(_OUTPUT), _MESSAGES, count_of_chunks(_MESSAGES)),
    *(count_of_chunks(_CHECKPOINT), Attribute.CHECKPOINT_OBJECT),
)


@dataclass(frozen=True)
class RunEnd:
    """First the chunks, then the header, which loses what an earlier pause may have left in it."""

    chunks: Sequence[Item]
    changes: Values
    removed: tuple[str, ...]
    checkpoint: bytes | None = None
    """The checkpoint, if it goes into the bucket."""

    def header(
        self, key: RunKey, executor: str, condition: str, *, listed: Values | None = None
    ) -> Write:
        """Return the write that makes it the run's end, if the condition holds."""
        changes = {**self.changes, **(listed or {})}
        return header_update(key, condition, held_by(executor), changes, removes=self.removed)


class RunEnds:
    """Stores what an end has beside its header."""

    def __init__(self, table: Table, objects: "LargeObjects | None") -> None:
        self._table = table
        self._objects = objects

    def store_beside(
        self, key: RunKey, executor: str, outcome: Outcome, progress: EndProgress, at: datetime
    ) -> RunEnd:
        """
        Store what is not stored yet; an outcome is said in items once for all tries.

        Returns:
            The end, whose header is to be written.

        Raises:
            FencedError: The run has been deleted, or has a later end; do not retry.
            StoreUnavailableError: Retrying with the same progress is safe.
        """
        if not isinstance(progress.packed, RunEnd):
            to_bucket = f"checkpoint/{executor}-{progress.end}" if self._objects else None
            progress.packed = _run_end(key, executor, outcome, at, to_bucket)
        end = progress.packed
        # One after the other: deletion stops an executor at its first free place.
        for chunk in end.chunks[progress.stored :]:
            store_chunk(self._table, chunk, end=progress.end)
            progress.stored += 1
        if end.checkpoint is not None and self._objects and progress.stored == len(end.chunks):
            name = end.changes[Attribute.CHECKPOINT_OBJECT]["S"]
            self._objects.put(key, name, end.checkpoint)
            progress.stored += 1
        return end


def _run_end(
    key: RunKey, executor: str, outcome: Outcome, at: datetime, to_bucket: str | None
) -> RunEnd:
    """Say an outcome in items; texts go into the header as long as it stays within 4 KB."""
    changes = attributes(changes_at_end(outcome, at))
    del changes[_OUTPUT]
    beside: dict[str, list[bytes]] = {}
    # What is asked of a human goes into the header in any case.
    room = ENDED_HEADER_BYTES - RUNNING_HEADER_BYTES - _CHUNK_NOTES_BYTES
    asked = Attribute.REQUIRED_ACTION
    room -= size_bytes({name: value for name, value in changes.items() if name != asked})
    for name, text in _texts(outcome).items():
        attribute = {name: packed(text)}
        if size_bytes(attribute) <= room:
            changes |= attribute
            room -= size_bytes(attribute)
        else:
            beside[name] = to_chunks(name, text)
    checkpoint_until, checkpoint = None, None
    if isinstance(outcome, PausedForDecision):
        checkpoint_until = outcome.paused_until + CHECKPOINT_GRACE
        changes[Attribute.LEASE_UNTIL] = instant(outcome.paused_until)
        slices = to_chunks(_CHECKPOINT, outcome.checkpoint.model_dump_json())
        if to_bucket and sum(map(len, slices)) > MOST_ITEM_BYTES:
            checkpoint = b"".join(slices)
            changes[Attribute.CHECKPOINT_OBJECT] = string(to_bucket)
        else:
            beside[_CHECKPOINT] = slices
    changes |= {count_of_chunks(name): number(len(chunks)) for name, chunks in beside.items()}
    if beside:
        changes[Attribute.CHUNKS_BY] = string(executor)
    chunks = chunk_items(key, executor, beside, checkpoint_until) if beside else []
    removed = tuple(name for name in _LEFT_BY_AN_END if name not in changes)
    return RunEnd(chunks, changes, removed, checkpoint)


def _texts(outcome: Outcome) -> Mapping[str, str]:
    messages = outcome.messages if isinstance(outcome, Completed) else None
    return {_OUTPUT: outcome.output, **({} if messages is None else {_MESSAGES: messages})}
