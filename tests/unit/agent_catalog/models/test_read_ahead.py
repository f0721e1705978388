"""A blocking iterator that is read ahead of its reader."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.bedrock import BedrockStreamedResponse

from agent_catalog.models.bedrock import ReadAhead, read_streams_ahead

pytestmark = pytest.mark.anyio


class Source:
    """Gives numbers up to `count`, waits in front of `held` until it may go on, and may fail."""

    def __init__(self, count: int, *, held: int | None = None, fails: bool = False) -> None:
        self.given = 0
        self.go_on = threading.Event()
        self.is_held = threading.Event()
        self.threads: set[int] = set()
        self._count, self._held, self._fails = count, held, fails

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.threads.add(threading.get_ident())
        if self.given == self._held:
            self.is_held.set()
            self.go_on.wait(5)
        if self.given == self._count:
            raise KeyError("after all") if self._fails else StopIteration
        self.given += 1
        return self.given


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1_000])
async def test_all_items_come_in_order(count: int) -> None:
    source = Source(count)
    assert [item async for item in ReadAhead(source, ahead=4)] == list(range(1, count + 1))
    assert threading.get_ident() not in source.threads


async def test_an_exception_comes_after_the_items_before_it() -> None:
    reader = ReadAhead(Source(10, fails=True), ahead=4)
    assert [await anext(reader) for _ in range(10)] == list(range(1, 11))
    with pytest.raises(KeyError, match="after all"):
        await anext(reader)


async def test_an_item_does_not_wait_for_the_next_one() -> None:
    source = Source(4, held=2)
    reader = ReadAhead(source)
    assert [await anext(reader), await anext(reader)] == [1, 2]
    source.go_on.set()
    assert [item async for item in reader] == [3, 4]


async def test_the_source_does_not_run_away() -> None:
    source = Source(1_000)
    reader = ReadAhead(source, ahead=8)
    assert await anext(reader) == 1
    await asyncio.sleep(0.05)
    assert source.given <= 9


async def test_a_reader_that_is_cancelled_leaves_the_source_alone() -> None:
    source = Source(4, held=0)
    reading = asyncio.create_task(anext(ReadAhead(source)))
    await asyncio.to_thread(source.is_held.wait, 5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    source.go_on.set()


async def test_bedrocks_streams_are_read_ahead() -> None:
    read_streams_ahead()
    delta = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}}
    all_given = threading.Event()

    def events() -> Iterator[Any]:
        for _ in range(20):
            yield delta
        all_given.set()

    response = BedrockStreamedResponse(
        ModelRequestParameters(),
        _model_name="m",
        _model_profile={},
        _event_stream=cast("Any", events()),
        _provider_name="bedrock",
        _model_id_namespace="bedrock",
        _provider_url="http://localhost",
    )
    async for _ in response:
        break
    assert await asyncio.to_thread(all_given.wait, 5)
