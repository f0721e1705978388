"""What an app does at the end of its process."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def ending_with(end: Callable[[], Awaitable[None]]) -> Lifespan:
    """Give an app's lifespan that needs no start and calls `end` at its shutdown."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None, None]:
        yield
        await end()

    return lifespan
