"""
What a request has begun, and keeping its invocation until that has ended.

Lambda freezes a process once the invocation that it has answered is over, with whatever is still
under way in it, and thaws it for the next one, minutes later or never.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

_begun: ContextVar[list[asyncio.Task[None]] | None] = ContextVar("begun", default=None)


def keep_invocation_for(work: asyncio.Task[None]) -> None:
    """Have the invocation of the present request, if it is one, last until `work` is done."""
    begun = _begun.get()
    if begun is not None:
        begun.append(work)


@asynccontextmanager
async def invocation_kept() -> AsyncGenerator[None, None]:
    """
    Wait, at the end and whatever has led there, for what was begun inside.

    A cancellation is waited through as well: what was begun has its own deadline, and ends itself
    before it. Another one while that is waited for ends the wait, not the work.
    """
    begun: list[asyncio.Task[None]] = []
    token = _begun.set(begun)
    try:
        yield
    finally:
        _begun.reset(token)
        while pending := [work for work in begun if not work.done()]:
            await asyncio.wait(pending)
