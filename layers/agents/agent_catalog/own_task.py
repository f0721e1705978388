"""An async generator that runs in a task of its own."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

# Enough for a burst of a fast model to be handed over at once; little to keep in memory.
_AHEAD = 64


async def in_own_task(source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """
    Pass on what another generator yields, while that one runs in a task of its own.

    What opens cancel scopes or sets context variables between two yields, as agent frameworks do,
    has to be closed by the task that opened it; this generator may be closed by any. It hands over
    without switching tasks for each item, which is most of what a stream between two tasks costs.

    The source is at most 64 items ahead. Closing this generator, or cancelling the task that reads
    it, cancels the source and waits until it has ended; an exception of the source is raised here
    once its items are read.
    """
    items: deque[T] = deque()
    filled, drained = asyncio.Event(), asyncio.Event()

    async def produce() -> None:
        async with aclosing(source):
            async for item in source:
                items.append(item)
                filled.set()
                if len(items) >= _AHEAD:
                    drained.clear()
                    await drained.wait()

    producer = asyncio.create_task(produce())
    producer.add_done_callback(lambda _: filled.set())
    try:
        while not producer.done() or items:
            while items:
                yield items.popleft()
            drained.set()
            if not producer.done():
                filled.clear()
                await filled.wait()
        await producer
    finally:
        producer.cancel()
        await asyncio.wait({producer})
        # Looked at, so that asyncio does not complain of what nobody is left to hear.
        _ = producer.cancelled() or producer.exception()
