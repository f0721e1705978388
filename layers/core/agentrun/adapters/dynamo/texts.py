"""
Texts of runs that lie beside their run's header, as compressed chunks in items of their own.

The place of a chunk that was erased is marked for a while: an item of the same key without `text`,
which goes by itself. Nothing is put there any more.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.headers import run_from_header
from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    chunk_sk,
    chunk_sks,
    key_at,
    key_of,
    number,
    place_of,
    run_pk,
    seconds,
    string,
    unpacked,
)
from agentrun.adapters.dynamo.table import ConditionFailedError, Query, Table, Write
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.runs import AgentRun, RunKey, cut_utf8

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

SLICE_BYTES = 350 * 1024
"""Well under DynamoDB's item limit of 400 KB, keys and attribute names included."""
WITH_PREVIEW = frozenset({"input", "output"})
"""The texts whose first chunk can be read alone; the others are only sliced."""
WHOLE_BYTES = 4096 - 160
"""As much in one item, keys and names included, is read at the price of a preview alone: 4 KB."""
WHOLE_CHARACTERS = 32 * 1024
"""What may be unpacked for a preview: a text that repeats itself packs to next to nothing."""
ERASED_FOR = timedelta(days=2)
"""How long an erased place is marked; no write comes so late, from whatever process."""
Place = tuple[str, str]
"""The partition and the sort key of an item."""


def to_chunks(name: str, text: str) -> list[bytes]:
    """
    Split a text for storage.

    Returns:
        Slices of the compressed text, at least one. Of a text `WITH_PREVIEW` the first has all of
        it if that is read as cheaply, or else what fits into a preview, and the others the rest.
    """
    preview, was_cut = cut_utf8(text)
    if name not in WITH_PREVIEW or not was_cut:
        return _slices(text)
    if len(text) <= WHOLE_CHARACTERS and len(whole := _compressed(text)) <= WHOLE_BYTES:
        return [whole]
    return _slices(preview) + _slices(text[len(preview) :])


def from_chunks(name: str, chunks: Sequence[bytes]) -> str:
    """Undo `to_chunks`; the first chunk of a text `WITH_PREVIEW` gives at least its preview."""
    if name not in WITH_PREVIEW:
        return _joined(chunks)
    return _joined(chunks[:1]) + (_joined(chunks[1:]) if len(chunks) > 1 else "")


def _compressed(text: str) -> bytes:
    return zlib.compress(text.encode())


def _slices(text: str) -> list[bytes]:
    whole = _compressed(text)
    return [whole[at : at + SLICE_BYTES] for at in range(0, len(whole), SLICE_BYTES)]


def _joined(slices: Sequence[bytes]) -> str:
    return zlib.decompress(b"".join(slices)).decode()


def text_of(
    header: Item, text: str, sort_keys: Sequence[str], chunks: Mapping[Place, bytes]
) -> str | None:
    """Return a text of a run, from its header or of chunks that were read; None if unset."""
    if text in header:
        return unpacked(header[text])
    parts = [chunks[header[Attribute.PK]["S"], sort_key] for sort_key in sort_keys]
    return from_chunks(text, parts) if parts else None


def _texts(items: Iterable[Item]) -> dict[Place, bytes]:
    # An item without a text marks a place that was erased since the header was read.
    return {
        place_of(item): bytes(item[Attribute.TEXT]["B"]) for item in items if Attribute.TEXT in item
    }


def read_text(table: Table, header: Item, text: str) -> str | None:
    """
    Return `input`, `output`, `messages` or `checkpoint` of a run, wherever it lies; None if unset.

    Raises:
        RunNotFoundError: Its chunks have been deleted since the header was read.
        StoreUnavailableError: Retrying is safe.
    """
    sort_keys = [] if text in header else chunk_sks(header, text)
    found: dict[Place, bytes] = {}
    if sort_keys:
        query = Query(
            f"{Attribute.PK} = :pk AND {Attribute.SK} BETWEEN :first AND :last",
            {
                ":pk": header[Attribute.PK],
                ":first": string(sort_keys[0]),
                ":last": string(sort_keys[-1]),
            },
        )
        found = _texts(item for page in table.pages(query) for item in page)
        if len(found) != len(sort_keys):
            raise RunNotFoundError(header[Attribute.PK]["S"].rpartition("#")[2])
    return text_of(header, text, sort_keys, found)


def read_checkpoint(table: Table, objects: "LargeObjects | None", header: Item) -> str:
    """
    Return the checkpoint of a run, wherever it lies.

    Raises:
        RunNotFoundError: There is none, or it has gone since the header was read.
        StoreUnavailableError: Retrying is safe.
    """
    run_id = header[Attribute.PK]["S"].rpartition("#")[2]
    if Attribute.CHECKPOINT_OBJECT not in header:
        text = read_text(table, header, "checkpoint")
    else:
        key, name = run_from_header(header).key, header[Attribute.CHECKPOINT_OBJECT]["S"]
        content = objects.get(key, name) if objects else None
        text = _joined([content]) if content is not None else None
    if text is None:
        raise RunNotFoundError(run_id)
    return text


def read_chunks(
    table: Table, places: Sequence[Place], *, consistent: bool = True
) -> dict[Place, bytes]:
    """
    Return the chunks that are there.

    One that a read missed which may lag is read again, by one that may not.
    """
    found = _texts(table.items([key_at(*place) for place in places], consistent=consistent))
    missing = [] if consistent else [place for place in places if place not in found]
    return (found | read_chunks(table, missing)) if missing else found


def read_previews(table: Table, headers: Sequence[Item], *, consistent: bool) -> list[AgentRun]:
    """Return runs with the beginnings of their texts, whole or not; see `with_previews`."""
    first = {
        place_of(header): {
            name: (header[Attribute.PK]["S"], sort_keys[0])
            for name in WITH_PREVIEW
            # Usually no text lies outside its header.
            if (sort_keys := chunk_sks(header, name))
        }
        for header in headers
    }
    places = [place for each in first.values() for place in each.values()]
    chunks = read_chunks(table, places, consistent=consistent)
    return [
        _with_previews(header, first[place_of(header)], chunks)
        for header in headers
        # Without all of its chunks it has been deleted since its header was read.
        if all(place in chunks for place in first[place_of(header)].values())
    ]


def _with_previews(
    header: Item, first: Mapping[str, Place], chunks: Mapping[Place, bytes]
) -> AgentRun:
    run = run_from_header(header)
    found = {name: from_chunks(name, [chunks[place]]) for name, place in first.items()}
    begun = run.with_texts(
        input=found.get("input", run.input), output=found.get("output", run.output)
    )
    more = frozenset(name for name in first if len(chunk_sks(header, name)) > 1)
    return begun.with_previews(more=more)


def chunk_items(
    key: RunKey, executor: str, texts: Mapping[str, list[bytes]], checkpoint_until: datetime | None
) -> list[Item]:
    """Return the items of texts that one execution leaves; the checkpoint goes away by itself."""
    items: list[Item] = []
    for text, chunks in texts.items():
        until = checkpoint_until if text == "checkpoint" else None
        ttl: Item = {Attribute.TTL: seconds(until)} if until else {}
        for place, chunk in enumerate(chunks):
            chunk_key = key_at(run_pk(key), chunk_sk(text, executor, place))
            items.append({**chunk_key, Attribute.TEXT: {"B": chunk}, **ttl})
    return items


def store_chunk(table: Table, chunk: Item, *, end: int) -> None:
    """
    Put a chunk of an execution's end into its place, again or for the first time.

    Args:
        table: Where to write.
        chunk: The item.
        end: Which end it is that the execution tries, from 0; it replaces those before it.

    Raises:
        FencedError: The place has been erased, or has a later end's chunk; do not retry.
        StoreUnavailableError: Retrying is safe.
    """
    is_not_erased = f"(attribute_not_exists({Attribute.PK}) OR attribute_exists(#{Attribute.TEXT}))"
    is_of_no_later_end = f"(attribute_not_exists(#{Attribute.END}) OR #{Attribute.END} <= :end)"
    put = Write(
        "Put",
        {**chunk, **({Attribute.END: number(end)} if end else {})},
        condition=f"{is_not_erased} AND {is_of_no_later_end}",
        values={":end": number(end)},
    )
    try:
        table.write(put)
    except ConditionFailedError as failed:
        raise FencedError("The run has been deleted.") from failed


def erased_place(key: Item, at: datetime) -> Item:
    """Return the item that marks a place as erased; has nothing of what was there."""
    return {**key_of(key), Attribute.TTL: seconds(at + ERASED_FOR)}
