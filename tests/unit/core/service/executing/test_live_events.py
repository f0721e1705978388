"""Events on their way to the connected client."""

import asyncio
from contextlib import aclosing

import pytest

from agentrun.domain.events import RecordedEvent
from agentrun.service.executing import run_events
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


@pytest.mark.parametrize(("burst_s", "sizes"), [(60, [1, 8]), (0, [1] * 9)])
async def test_only_events_that_follow_each_other_closely_share_a_batch(
    monkeypatch: pytest.MonkeyPatch, burst_s: float, sizes: list[int]
) -> None:
    monkeypatch.setattr(run_events, "BURST_S", burst_s)
    live = LiveEvents()

    async def publish() -> None:
        for event in deltas(1, 9):
            live.publish(event)
            await asyncio.sleep(0)
        # The last batch is not kept back by the end.
        for _ in range(3):
            await asyncio.sleep(0)
        live.end()

    publishing = asyncio.create_task(publish())
    assert [len(batch) async for batch in live.batches(idle_s=60)] == sizes
    await publishing
