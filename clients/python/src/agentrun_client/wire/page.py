"""Pages of lists."""

from typing import Generic, NamedTuple, TypeVar

from agentrun_client.wire.reading import read_array, read_object

T = TypeVar("T")
PAGE_SIZE = 100
"""The most that the API allows: the fewest requests."""


class Page(NamedTuple, Generic[T]):
    """Some items of a list, and where the next ones begin; a page may be empty and not the last."""

    items: tuple[T, ...]
    next_cursor: str | None


def page_of(kind: type[T], body: bytes) -> Page[T]:
    """
    Read a page.

    Raises:
        UnreadableError: It is none.
    """
    told = read_object(body)
    items = tuple(read_array(kind, told.get("content")))
    cursor = told.get("nextCursor")
    return Page(items, cursor if isinstance(cursor, str) else None)
