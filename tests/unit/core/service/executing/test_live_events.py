"""Events on their way to the connected client."""

import asyncio
from contextlib import aclosing

import pytest

from agentrun.domain.events import RecordedEvent
from agentrun.service.executing.run_events import LiveEvents
from tests.runs import deltas

pytestmark = pytest.mark.anyio


async def test_what_is_there_comes_at_once_and_together() -> None:
    live = LiveEvents()
    for event in deltas(1, 3):
        live.publish(event)
    live.end()
    assert [batch async for batch in live.batches(idle_s=60)] == [deltas(1, 3)]


async def test_events_come_while_the_reader_waits() -> None:
    live = LiveEvents()
    seen: list[RecordedEvent] = []

    async def read() -> None:
        async for batch in live.batches(idle_s=60):
            seen.extend(batch)

    reading = asyncio.create_task(read())
    for event in deltas(1, 4):
        await asyncio.sleep(0)
        live.publish(event)
    live.end()
    await reading
    assert seen == deltas(1, 4)


async def test_an_ended_stream_without_events_is_empty() -> None:
    live = LiveEvents()
    live.end()
    assert [batch async for batch in live.batches(idle_s=60)] == []


async def test_silence_gives_empty_batches_until_events_come() -> None:
    live = LiveEvents()
    async with aclosing(live.batches(idle_s=0.01)) as batches:
        assert await anext(batches) == []
        assert await anext(batches) == []
        live.publish(deltas(1, 1)[0])
        assert await anext(batches) == deltas(1, 1)


async def test_a_reader_that_has_gone_costs_no_memory() -> None:
    live = LiveEvents()
    async with aclosing(live.batches(idle_s=60)) as batches:
        live.publish(deltas(1, 1)[0])
        await anext(batches)
    live.publish(deltas(2, 2)[0])
    live.end()
    assert [batch async for batch in live.batches(idle_s=60)] == []
