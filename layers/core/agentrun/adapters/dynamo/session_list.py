"""A user's sessions by the index, page by page."""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo.client import DynamoBatches, unavailable_when_failing
from agentrun.adapters.dynamo.items import (
    Item,
    listed_agent,
    session_from_item,
    session_list_key,
)
from agentrun.domain.conversations import Session, SessionPage
from agentrun.domain.errors import InvalidRequestError
from agentrun.domain.value import iso_milliseconds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "sessions"
PAGE_SESSIONS = 100


class DynamoSessionList:
    """
    One user's list.

    Sessions are counted and passed over in the index, whose entries are keys of some 200 bytes; the
    sessions themselves are read for the page alone. Each entry is read about once for a page.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        batches: DynamoBatches,
        tenant: str,
        user_id: str,
    ) -> None:
        self._client = client
        self._table = table
        self._batches = batches
        self._user_id = user_id
        self._key = session_list_key(tenant, user_id)

    def page(self, *, size: int, skip: int, cursor: str | None) -> SessionPage:
        """Return a page of all of the user's sessions; see the port's `sessions`."""
        if cursor is not None:
            total, _ = self._count(None)
            return self._page(self._entries(position_of(self._key, cursor), size + 1), size, total)
        total, last = self._count(None, at_most=skip) if skip else (0, None)
        # Without a last position the list is shorter than what was to be passed over.
        found = self._entries(last, size + 1) if last or not skip else []
        total += len(found)
        if len(found) > size:
            total += self._count(_position(found[-1]))[0]
        return self._page(found, size, total)

    def page_of_agent(
        self, agent_id: str, *, size: int, skip: int, cursor: str | None
    ) -> SessionPage:
        """Return a page of the sessions with one agent; see the port's `sessions`."""
        before = position_of(self._key, cursor) if cursor is not None else None
        found: list[Item] = []
        total = 0
        for entry in self._entries_of_agent(agent_id):
            total += 1
            is_behind = total > skip and (before is None or _position(entry) < before)
            if is_behind and len(found) <= size:
                found.append(entry)
        return self._page(found, size, total)

    def used_since(self, instant: datetime) -> Iterator[Sequence[Session]]:
        """Yield the sessions that were used since an instant, the most recently used first."""
        since = ("AND gsi1sk >= :bound", iso_milliseconds(instant))
        pages = self._client.get_paginator("query").paginate(
            **self._query(since), PaginationConfig={"PageSize": PAGE_SESSIONS}
        )
        with unavailable_when_failing():
            for page in pages:
                yield tuple(self._sessions(page["Items"]))

    def _page(self, found: Sequence[Item], size: int, total: int) -> SessionPage:
        """Make a page of entries, of which one more than asked for says that there are more."""
        more = len(found) > size
        return SessionPage(
            sessions=tuple(self._sessions(found[:size])),
            total=total,
            next_cursor=cursor_at(self._key, _position(found[size - 1])) if more else None,
        )

    def _sessions(self, entries: Sequence[Item]) -> Iterator[Session]:
        items = self._items(entries, consistent=True)
        for entry in entries:
            # A session that moves to the front while a page is read may be in it twice.
            item = items.pop(entry["pk"]["S"], None)
            # It may be gone, or have started afresh as somebody else's: the index lags behind.
            if item is not None and item["userId"]["S"] == self._user_id:
                yield session_from_item(item)

    def _items(self, entries: Sequence[Item], *, consistent: bool) -> dict[str, Item]:
        keys = [{name: entry[name] for name in ("pk", "sk")} for entry in entries]
        read = self._batches.read(keys, consistent=consistent)
        return {item["pk"]["S"]: item for item in read}

    def _count(self, below: str | None, *, at_most: int | None = None) -> tuple[int, str | None]:
        """
        Count the entries below a position without reading them out, 1 MB at a time.

        Returns:
            How many there are, and the position of the last one where there may be more.
        """
        count = 0
        while True:
            limit: Any = {} if at_most is None else {"Limit": at_most - count}
            with unavailable_when_failing():
                answer = self._client.query(**self._below(below), Select="COUNT", **limit)
            count += answer["Count"]
            last = answer.get("LastEvaluatedKey")
            below = None if last is None else _position(last)
            if below is None or count == at_most:
                return count, below

    def _entries(self, below: str | None, count: int) -> list[Item]:
        return [*islice(self._pages(below, count), count)]

    def _entries_of_agent(self, agent_id: str) -> Iterator[Item]:
        unknown: list[Item] = []
        for entry in self._pages(None, None):
            agent = listed_agent(_position(entry))
            if agent is None:
                unknown.append(entry)
            elif agent == agent_id:
                yield entry
        # Entries without an agent are older than all that have one.
        items = self._items(unknown, consistent=False)
        for entry in unknown:
            item = items.get(entry["pk"]["S"])
            if item is not None and item["agentId"]["S"] == agent_id:
                yield entry

    def _pages(self, below: str | None, page_size: int | None) -> Iterator[Item]:
        config: Any = {} if page_size is None else {"PageSize": page_size}
        pages = self._client.get_paginator("query").paginate(
            **self._below(below), PaginationConfig=config
        )
        with unavailable_when_failing():
            for page in pages:
                yield from page["Items"]

    def _below(self, position: str | None) -> Any:
        return self._query(("AND gsi1sk < :bound", position) if position is not None else None)

    def _query(self, bound: tuple[str, str] | None) -> Any:
        values = {":list": {"S": self._key}}
        if bound is not None:
            values[":bound"] = {"S": bound[1]}
        return {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": f"gsi1pk = :list {bound[0] if bound else ''}".strip(),
            "ExpressionAttributeValues": values,
            "ScanIndexForward": False,
        }


def _position(entry: Item) -> str:
    return str(entry["gsi1sk"]["S"])


_DIGEST_BYTES = 8
_MAX_CHARACTERS = 240
"""An instant of 24 characters, two ids of at most 64 and the digest come to less, as base64."""


def cursor_at(list_key: str, position: str) -> str:
    """
    Return the cursor behind a position, the index's sort key, of the list with this key.

    The digest only tells mistakes: there is nothing to protect, since a cursor says where in the
    caller's own list to go on, and whose list that is comes from the caller's token.
    """
    packed = _digest(list_key, position) + position.encode()
    return urlsafe_b64encode(packed).decode().rstrip("=")


def position_of(list_key: str, cursor: str) -> str:
    """
    Return the position that a cursor was made of.

    Raises:
        InvalidRequestError: It was not given out for this list.
    """
    try:
        if len(cursor) > _MAX_CHARACTERS:
            raise ValueError
        packed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = packed[_DIGEST_BYTES:].decode()
        # Made again, because base64 reads more than one spelling of the same bytes.
        if not position or cursor_at(list_key, position) != cursor:
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidRequestError(
            "The cursor is not one that was given out for these sessions.",
            params=[("cursor", "is not one that was given out for these sessions")],
        ) from None
    return position


def _digest(list_key: str, position: str) -> bytes:
    text = f"{list_key}\0{position}".encode()
    return hashlib.blake2s(text, digest_size=_DIGEST_BYTES).digest()
