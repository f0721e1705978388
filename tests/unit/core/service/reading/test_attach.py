"""Attaching to runs: replay, follow, and the ends that nobody wrote down."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.events import (
    ContentDelta,
    Error,
    Metrics,
    RecordedEvent,
    RunEvent,
    Start,
    Stop,
)
from agentrun.domain.principal import Principal
from agentrun.domain.value import epoch_ms
from agentrun.service.reading import follow as attaching
from agentrun.service.reading.follow import RunFollower, attach, whole_run
from tests.rig import Rig, read_all
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, failed

pytestmark = pytest.mark.anyio

ANA = Principal(tenant="acme", user_id="ana", scopes=frozenset({"runs:read"}))
START = Start(run_id="run-1", session_id=a_run().session_id, agent_id="echo")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "SHORTEST_PAUSE_S", 0.001)
    monkeypatch.setattr(attaching, "LONGEST_PAUSE_S", 0.002)


def recorded(number: int, event: RunEvent) -> RecordedEvent:
    return RecordedEvent(id=number, timestamp_ms=epoch_ms(AT), event=event)


def a_whole_run() -> list[RecordedEvent]:
    events: Sequence[RunEvent] = (
        START,
        ContentDelta(text="a"),
        ContentDelta(text="b"),
        Metrics(total_tokens=7),
        Stop(run_id="run-1"),
    )
    return [recorded(number, event) for number, event in enumerate(events, start=1)]


class AttachRig(Rig):
    """A started run and its log, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.store.start(a_run(), a_request())

    def write(self, *events: RecordedEvent) -> None:
        self.log.append(a_run().key, events, at=AT)

    def finish(self) -> None:
        outcome = completed(last_event_id=5)
        self.store.finish(a_run().key, EXECUTOR, outcome, at=self.clock.now())

    async def attach(self, cursor: int = 0) -> RunFollower | None:
        return await attach(ANA, "echo", "run-1", cursor=cursor, ports=self.runs)

    async def read(self, cursor: int = 0) -> list[RecordedEvent]:
        follower = await self.attach(cursor)
        assert follower is not None
        async with asyncio.timeout(5):
            return await read_all(follower)


@pytest.fixture
def rig() -> AttachRig:
    return AttachRig()


@pytest.mark.parametrize("cursor", range(5))
async def test_an_ended_run_is_replayed_after_the_cursor(rig: AttachRig, cursor: int) -> None:
    rig.write(*a_whole_run()[:3])
    rig.write(*a_whole_run()[3:])
    rig.finish()
    assert await rig.read(cursor) == a_whole_run()[cursor:]


@pytest.mark.parametrize("cursor", [5, 6, 10**12])
async def test_nothing_comes_after_the_end(rig: AttachRig, cursor: int) -> None:
    rig.write(*a_whole_run())
    rig.finish()
    assert await rig.attach(cursor) is None


async def test_a_live_run_is_followed_to_its_end(rig: AttachRig) -> None:
    rig.write(*a_whole_run()[:2])
    reading = asyncio.create_task(rig.read())
    for event in a_whole_run()[2:]:
        await asyncio.sleep(0.003)
        rig.write(event)
    rig.finish()
    assert await reading == a_whole_run()


async def test_several_readers_see_the_same(rig: AttachRig) -> None:
    readings = [asyncio.create_task(rig.read(cursor)) for cursor in (0, 0, 3)]
    await asyncio.sleep(0.003)
    rig.write(*a_whole_run())
    rig.finish()
    seen = [await reading for reading in readings]
    assert seen == [a_whole_run(), a_whole_run(), a_whole_run()[3:]]


async def test_start_is_said_before_the_log_has_it(rig: AttachRig) -> None:
    follower = await rig.attach()
    assert follower is not None
    batches = follower.batches(idle_s=60)
    assert await anext(batches) == a_whole_run()[:1]
    await batches.aclose()


async def test_an_end_that_is_written_but_not_committed_is_not_said(rig: AttachRig) -> None:
    rig.write(*a_whole_run())
    follower = await rig.attach()
    assert follower is not None
    seen: list[RecordedEvent] = []
    committed_at = -1
    async for batch in follower.batches(idle_s=0):
        seen += batch
        if not batch and committed_at < 0:
            committed_at = len(seen)
            rig.finish()
    assert committed_at == 3
    assert seen == a_whole_run()


async def test_a_zombies_late_segment_is_never_seen(rig: AttachRig) -> None:
    rig.write(*a_whole_run())
    rig.finish()
    rig.write(recorded(6, ContentDelta(text="too late")))
    assert await rig.read() == a_whole_run()


@pytest.mark.parametrize("cursor", [0, 2, 3, 1_000_002])
async def test_every_reader_of_a_dead_run_is_told_so_beyond_a_gap(
    rig: AttachRig, cursor: int
) -> None:
    rig.write(*a_whole_run()[:3])
    rig.clock.advance(18)
    seen = await rig.read(cursor)
    end = seen.pop()
    assert seen == a_whole_run()[cursor:3]
    assert end.id == 1_000_003
    assert isinstance(end.event, Error)
    assert await rig.attach(1_000_003) is None


async def test_a_run_that_dies_while_it_is_followed_ends_for_its_reader(rig: AttachRig) -> None:
    rig.write(*a_whole_run()[:2])
    reading = asyncio.create_task(rig.read())
    await asyncio.sleep(0.005)
    rig.clock.advance(18)
    assert [event.id for event in await reading] == [1, 2, 1_000_002]


async def test_a_dead_run_without_any_event_still_has_a_start_and_an_end(rig: AttachRig) -> None:
    rig.clock.advance(18)
    assert [event.id for event in await rig.read()] == [1, 1_000_001]


async def test_a_cursor_ahead_of_a_live_run_waits(rig: AttachRig) -> None:
    rig.write(*a_whole_run()[:2])
    reading = asyncio.create_task(rig.read(4))
    await asyncio.sleep(0.005)
    rig.write(*a_whole_run()[2:])
    rig.finish()
    assert await reading == a_whole_run()[4:]


async def test_silence_is_told(rig: AttachRig) -> None:
    follower = await rig.attach(1)
    assert follower is not None
    batches = follower.batches(idle_s=0.005)
    assert await anext(batches) == []
    assert await anext(batches) == []
    await batches.aclose()


async def test_a_store_that_is_away_is_asked_again(rig: AttachRig) -> None:
    rig.write(*a_whole_run())
    failures = rig.log.fails("read", times=3)
    reading = asyncio.create_task(rig.read())
    await asyncio.sleep(0.005)
    rig.finish()
    assert await reading == a_whole_run()
    assert failures.hits == 3


async def test_events_are_replayable_for_a_day(rig: AttachRig) -> None:
    rig.write(*a_whole_run())
    rig.finish()
    rig.clock.advance(timedelta(hours=24).total_seconds())
    assert await rig.read() == a_whole_run()
    rig.clock.advance(1)
    with pytest.raises(RunNotFoundError):
        await rig.attach()


async def test_the_day_of_a_dead_run_begins_with_its_death(rig: AttachRig) -> None:
    rig.write(*a_whole_run()[:3])
    rig.clock.advance(timedelta(hours=24).total_seconds() + 15)
    assert [event.id for event in await rig.read()] == [1, 2, 3, 1_000_003]
    rig.clock.advance(1)
    with pytest.raises(RunNotFoundError):
        await rig.attach()


def lose(rig: AttachRig, *last_ids: int) -> None:
    for last_id in last_ids:
        del rig.log.segments[a_run().key][last_id]


@pytest.mark.parametrize(("lost", "cursor"), [([2], 0), ([2], 1), ([3], 0), ([2, 3, 5], 2)])
async def test_a_replay_that_cannot_be_whole_is_not_found(
    rig: AttachRig, lost: list[int], cursor: int
) -> None:
    events = a_whole_run()
    for segment in (events[:2], events[2:3], events[3:]):
        rig.write(*segment)
    rig.finish()
    lose(rig, *lost)
    with pytest.raises(RunNotFoundError):
        await rig.attach(cursor)
    with pytest.raises(RunNotFoundError):
        await whole_run(a_run().key, rig.runs, is_replay=True, cursor=cursor)


async def test_what_is_left_of_a_replay_is_whole_for_a_reader_of_the_rest(rig: AttachRig) -> None:
    events = a_whole_run()
    for segment in (events[:2], events[2:]):
        rig.write(*segment)
    rig.finish()
    lose(rig, 2)
    assert await rig.read(2) == events[2:]


async def test_a_live_run_whose_first_events_are_gone_is_not_found(rig: AttachRig) -> None:
    rig.write(*a_whole_run()[:2])
    rig.write(*a_whole_run()[2:3])
    lose(rig, 2)
    with pytest.raises(RunNotFoundError):
        await rig.attach()


@pytest.mark.parametrize("lost", [3, 5])
async def test_a_replay_that_loses_events_breaks_off(rig: AttachRig, lost: int) -> None:
    events = a_whole_run()
    for segment in (events[:2], events[2:3], events[3:]):
        rig.write(*segment)
    rig.finish()
    rig.log.around("read", lambda read, key, **where: read(key, **where)[:1])
    follower = await rig.attach()
    assert follower is not None
    lose(rig, lost)
    seen = await read_all(follower)
    assert seen == (events[:2] if lost == 3 else events[:3])


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_events_that_were_left_out_are_told_from_those_that_were_deleted(
    rig: AttachRig, is_deleted: bool
) -> None:
    outcome = failed(last_event_id=5).model_copy(update={"error_type": "INTERNAL_ERROR"})
    rig.store.finish(a_run().key, EXECUTOR, outcome, at=AT)
    if is_deleted:
        rig.log.before("read", lambda key, **_: rig.store.runs.pop(key, None))
        with pytest.raises(RunNotFoundError):
            await rig.attach()
    else:
        assert [said.id for said in await rig.read()] == [1, 5]


async def test_a_replay_reads_each_page_once(rig: AttachRig) -> None:
    rig.write(*a_whole_run())
    rig.finish()
    read_after: list[int] = []
    rig.log.before("read", lambda _, *, after, **__: read_after.append(after))
    assert await rig.read() == a_whole_run()
    assert read_after == [1, 5]


async def test_a_strangers_run_is_missing(rig: AttachRig) -> None:
    bob = ANA.model_copy(update={"user_id": "bob"})
    with pytest.raises(RunNotFoundError):
        await attach(bob, "echo", "run-1", cursor=0, ports=rig.runs)
