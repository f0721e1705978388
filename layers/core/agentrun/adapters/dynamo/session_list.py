"""A user's sessions by the index, page by page."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from agentrun.adapters.dynamo.items import (
    POINTERS,
    SESSIONS_INDEX,
    Attribute,
    Item,
    key_of,
    listed_agent,
    place_of,
    session_list_key,
    session_pk,
    string,
)
from agentrun.adapters.dynamo.table import Query, Table
from agentrun.domain.conversations import Session, SessionPage
from agentrun.domain.lists.cursors import cursor_at, position_of
from agentrun.domain.value import from_epoch_ms, iso_milliseconds

PAGE_SESSIONS = 100


class DynamoSessionList:
    """
    One user's list.

    Sessions are counted and passed over in the index, whose entries are keys of some 200 bytes; the
    sessions themselves are read for the page alone. Each entry is read about once for a page.
    """

    def __init__(self, table: Table, tenant: str, user_id: str) -> None:
        self._table = table
        self._user_id = user_id
        self._key = session_list_key(tenant, user_id)

    def page(self, *, size: int, skip: int, cursor: str | None) -> SessionPage:
        """Return a page of all of the user's sessions."""
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
        """Return a page of the sessions with one agent."""
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
        query = self._query(">=", iso_milliseconds(instant))
        for page in self._table.pages(query, page_size=PAGE_SESSIONS):
            yield tuple(self._sessions(page))

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
            item = items.pop(place_of(entry), None)
            # It may be gone, or have started afresh as somebody else's: the index lags behind.
            if item is not None and item[Attribute.USER_ID]["S"] == self._user_id:
                yield session_from_item(item)

    def _items(self, entries: Sequence[Item], *, consistent: bool) -> dict[tuple[str, str], Item]:
        read = self._table.items([key_of(entry) for entry in entries], consistent=consistent)
        return {place_of(item): item for item in read}

    def _count(self, below: str | None, *, at_most: int | None = None) -> tuple[int, str | None]:
        """
        Count the entries below a position without reading them out, 1 MB at a time.

        Returns:
            How many there are, and the position of the last one where there may be more.
        """
        count = 0
        while True:
            limit = None if at_most is None else at_most - count
            counted, last = self._table.count(self._query("<", below), at_most=limit)
            count += counted
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
            item = items.get(place_of(entry))
            if item is not None and item[Attribute.AGENT_ID]["S"] == agent_id:
                yield entry

    def _pages(self, below: str | None, page_size: int | None) -> Iterator[Item]:
        for page in self._table.pages(self._query("<", below), page_size=page_size):
            yield from page

    def _query(self, relation: str, bound: str | None) -> Query:
        """Find the entries whose position is in this relation to a bound; all, without one."""
        condition, values = f"{Attribute.LIST} = :list", {":list": string(self._key)}
        if bound is not None:
            condition += f" AND {Attribute.POSITION} {relation} :bound"
            values[":bound"] = string(bound)
        return Query(condition, values, index=SESSIONS_INDEX, newest_first=True, consistent=False)


def pointers_of(
    tenant: str, session_id: str, *, newest_first: bool = False, only: str = ""
) -> Query:
    """Find what leads from a session to its runs; sorts as they were made."""
    return Query(
        f"{Attribute.PK} = :pk AND begins_with({Attribute.SK}, :runs)",
        {":pk": string(session_pk(tenant, session_id)), ":runs": string(POINTERS)},
        only=only,
        newest_first=newest_first,
    )


def _position(entry: Item) -> str:
    return entry[Attribute.POSITION]["S"]


def session_from_item(item: Item) -> Session:
    """Read a session's own item."""
    return Session(
        id=item[Attribute.PK]["S"].rpartition("#SES#")[2],
        agent_id=item[Attribute.AGENT_ID]["S"],
        user_id=item[Attribute.USER_ID]["S"],
        title=item[Attribute.TITLE]["S"],
        created_at=from_epoch_ms(int(item[Attribute.CREATED_AT]["N"])),
        updated_at=from_epoch_ms(int(item[Attribute.UPDATED_AT]["N"])),
    )
