"""A generator in a task of its own."""

import asyncio
from collections.abc import AsyncGenerator
from contextvars import ContextVar

import pytest

from agent_catalog.running.engine import in_separate_task

pytestmark = pytest.mark.anyio

VARIABLE: ContextVar[int] = ContextVar("VARIABLE", default=0)


class Source:
    """Yields numbers, as fast as they are taken, and notes how it was ended."""

    def __init__(self, count: int, *, fails: bool = False, stalls: bool = False) -> None:
        self.given = 0
        self.ended_by: asyncio.Task[None] | None = None
        self.started_by: asyncio.Task[None] | None = None
        self._count, self._fails, self._stalls = count, fails, stalls

    async def __call__(self) -> AsyncGenerator[int, None]:
        self.started_by = asyncio.current_task()
        token = VARIABLE.set(1)
        try:
            while self.given < self._count:
                self.given += 1
                yield self.given
            if self._stalls:
                await asyncio.Event().wait()
            if self._fails:
                raise KeyError("after all")
        finally:
            # Neither of the two is possible in any other task.
            VARIABLE.reset(token)
            self.ended_by = asyncio.current_task()


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1_000])
async def test_all_items_come_in_order(count: int) -> None:
    items = [item async for item in in_separate_task(Source(count)())]
    assert items == list(range(1, count + 1))


async def test_an_exception_comes_after_the_items_before_it() -> None:
    reading = in_separate_task(Source(100, fails=True)())
    assert [await anext(reading) for _ in range(100)] == list(range(1, 101))
    with pytest.raises(KeyError, match="after all"):
        await anext(reading)


async def test_the_source_does_not_run_away() -> None:
    source = Source(10_000)
    reading = in_separate_task(source())
    await anext(reading)
    # A tick for each item that a source without bounds would yield meanwhile.
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert source.given == 64
    await reading.aclose()


@pytest.mark.parametrize("taken", [1, 64, 100])
async def test_closing_it_from_any_task_ends_the_source_in_its_own(taken: int) -> None:
    source = Source(100, stalls=True)
    reading = in_separate_task(source())
    for _ in range(taken):
        await anext(reading)
    await asyncio.create_task(reading.aclose())
    assert source.ended_by is source.started_by
    assert source.ended_by is not None
    assert source.ended_by.done()


async def test_cancelling_the_reader_ends_the_source() -> None:
    source, seen = Source(1, stalls=True), asyncio.Event()

    async def read() -> None:
        async for _ in in_separate_task(source()):
            seen.set()

    reader = asyncio.create_task(read())
    await seen.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert source.ended_by is source.started_by
    assert source.ended_by is not None


async def test_a_generator_that_is_never_read_starts_nothing() -> None:
    source = Source(1)
    reading = in_separate_task(source())
    await reading.aclose()
    assert source.started_by is None
