"""Pages of lists."""

from typing import Generic, NamedTuple, TypeVar, cast

from agentrun_client.wire.reading import UnreadableError, read_as, read_json

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
    told = read_json(body)
    if not isinstance(told, dict) or not isinstance(told.get("content"), list):
        raise UnreadableError("it has no `content`")
    cursor = told.get("nextCursor")
    content = cast("list[object]", told["content"])
    items = tuple(read_as(kind, each) for each in content)
    return Page(items, cursor if isinstance(cursor, str) else None)
