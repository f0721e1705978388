"""Tools that count their effects by the ids of their calls."""

import asyncio

from agent_catalog.toolkit import Session

effects: list[tuple[str, str]] = []
"""The names of the tools that have run, with the ids that TOOL_START tells, oldest first."""

keys: list[str] = []
"""The ids by which others would know the same calls, in the same order."""


def forget() -> None:
    """Forget what was done."""
    effects.clear()
    keys.clear()


def look(session: Session, what: str = "it") -> str:
    """Look at something; that has no effect."""
    return _done("look", session, f"seen {what}")


def send(session: Session, to: str = "Ana") -> str:
    """Send a letter, which must not arrive twice."""
    return _done("send", session, f"sent to {to}")


async def book(session: Session, item: str = "room", seconds: float = 0) -> str:
    """Book something, once for each call however often that runs."""
    await asyncio.sleep(seconds)
    return _done("book", session, f"booked {item}")


def order(session: Session, count: int = 1) -> str:
    """Order something, once it is approved."""
    return _done("order", session, f"ordered {count}")


def seen(session: Session) -> list[object]:
    """Return what `look` has returned in this conversation."""
    _done("seen", session, "")
    return list(session.results.of("look"))


def _done(tool: str, session: Session, result: str) -> str:
    keys.append(session.call_id)
    effects.append((tool, session.call_id.rpartition("/")[2]))
    return result
