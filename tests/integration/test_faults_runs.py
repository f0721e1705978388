"""Runs in trouble: the store away, executors that come back from the dead, ends that race."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from agentrun.domain.events import ContentDelta, PendingApproval
from agentrun.domain.runs import RunKey
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing import bounds as execution_bounds
from agentrun.service.executing.recorder import RecordingPace
from tests.fakes.faults import FOR_EVER, Fault
from tests.fakes.scripted_engine import ScriptedEngine
from tests.integration.asgi_exchange import Exchange, until
from tests.integration.faulty_app import (
    QUICK,
    UNHURRIED,
    Caller,
    Dictation,
    FaultyApp,
    Recital,
    faulty_app,
)
from tests.integration.test_faults_table import LEASE_LAPSED, unavailable
from tests.tables import TABLE

pytestmark = pytest.mark.anyio

SPEED = 4
PACE = RecordingPace()
FOUR_TIMES_AS_FAST = RecordingPace(
    flush_interval_s=PACE.flush_interval_s / SPEED,
    heartbeat_interval_s=PACE.heartbeat_interval_s / SPEED,
    retry_pause_s=PACE.retry_pause_s / SPEED,
)


@pytest.fixture(scope="module")
def app(dynamodb_url: str) -> Iterator[FaultyApp]:
    with faulty_app(dynamodb_url) as app:
        yield app


async def begun(caller: Caller, frames: int, **options: float) -> tuple[str, Exchange]:
    """Start a run and wait for its first frames."""
    live = caller.start(**options)
    await until(lambda: len(live.frames) >= frames, f"{frames} frames came")
    return live.headers["x-run-id"], live


async def replayed(caller: Caller, run_id: str) -> Exchange:
    return await caller.attach(run_id).complete()


async def status(caller: Caller, run_id: str) -> tuple[str, str | None]:
    run = (await caller.poll(run_id).complete()).json
    return run["status"], run.get("errorType")


def logged(caller: Caller, run_id: str) -> list[int]:
    """Return the ids in the log, whether or not anybody may see them."""
    key = RunKey(tenant=caller.tenant, run_id=run_id)
    log, at = caller.app.stream.runs.log, caller.app.executors_clock.now()
    return [event.id for event in log.read(key, after=0, at=at)]


async def test_ten_seconds_without_the_store_in_mid_run_are_not_seen(app: FaultyApp) -> None:
    """Everything goes four times as fast, the lease's 15 s included."""
    engine = Dictation()
    caller = app.caller(engine, FOUR_TIMES_AS_FAST)
    for clock in (app.executors_clock, app.readers_clock):
        clock.reset(speed=SPEED)
    engine.say("before ")
    run_id, live = await begun(caller, 2)
    with app.executor.injected(Fault.HELD, "heartbeat") as beating:
        await until(lambda: beating.hits == 1, "the lease was about to be renewed")
    with (
        app.executor.injected(Fault.REFUSED, "any", times=FOR_EVER) as away,
        app.reader.injected(Fault.REFUSED, "any", times=FOR_EVER),
    ):
        until_s = asyncio.get_running_loop().time() + 10 / SPEED
        while asyncio.get_running_loop().time() < until_s:
            engine.say("meanwhile ")
            await asyncio.sleep(0.02)
        unavailable(await caller.poll(run_id).complete())
        assert len(live.frames) > 10
        assert away.hits > 10
    engine.say("after", None)
    await live.complete()
    assert live.events[-2:] == ["METRICS", "STOP"]
    assert [frame.id for frame in live.frames] == list(range(1, len(live.frames) + 1))
    assert await status(caller, run_id) == ("COMPLETED", None)
    assert (await replayed(caller, run_id)).body == live.body


async def test_an_end_waits_for_the_store_to_come_back(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    run_id, live = await begun(caller, 2)
    with app.executor.injected(Fault.TIMED_OUT, "any", times=FOR_EVER) as away:
        engine.gate.set()
        await until(lambda: away.hits > 20, "the end was tried again and again")
        assert "STOP" not in live.events
    await live.complete()
    assert live.events[-1] == "STOP"
    assert (await replayed(caller, run_id)).body == live.body


@pytest.mark.parametrize("operation", ["segment", "heartbeat"])
async def test_the_stream_goes_on_while_a_write_is_under_way(
    app: FaultyApp, operation: str
) -> None:
    """The write ends only when this loop has taken a hundred events to their client."""
    engine = Dictation()
    caller = app.caller(engine)
    engine.say("first")
    with app.executor.injected(Fault.HELD, operation) as held:
        _, live = await begun(caller, 2)
        await until(lambda: held.hits == 1, "the write was begun")
        for number in range(100):
            engine.say(f"{number} ")
            await until(lambda: live.frames[-1].data == f"{number} ", "it was told at once")  # noqa: B023
    engine.say(None)
    await live.complete()
    assert live.events[-1] == "STOP"


@pytest.mark.parametrize("operation", ["start", "output", "finish"])
async def test_other_runs_go_on_while_a_write_is_under_way(app: FaultyApp, operation: str) -> None:
    engine = Recital("a", "".join(map(chr, range(300, 9_000))))
    engine.gate.set()
    caller = app.caller(engine)
    with app.executor.injected(Fault.HELD, operation) as held:
        slow = caller.start()
        await until(lambda: held.hits == 1, "the write was begun")
        other = await Caller(app).start().complete()
        assert other.events[-1] == "STOP"
        assert "STOP" not in slow.events
    assert (await slow.complete()).events[-1] == "STOP"


async def test_what_waits_in_memory_is_bounded(app: FaultyApp) -> None:
    engine = Dictation()
    pace = QUICK.model_copy(update={"flush_characters": 500, "buffer_characters": 2_000})
    caller = app.caller(engine, pace)
    with app.executor.injected(Fault.TIMED_OUT, "segment", times=FOR_EVER):
        engine.say(*["x"] * 50)
        run_id, live = await begun(caller, 2)
        await until(lambda: engine.closed == 1, "the agent was stopped")
    await live.complete()
    assert live.events[-2:] == ["METRICS", "ERROR"]
    assert len(live.events) < 50
    assert await status(caller, run_id) == ("FAILED", "STORE_UNAVAILABLE")
    assert (await replayed(caller, run_id)).body == live.body


def test_simultaneous_starts_with_one_key_are_one_run(app: FaultyApp) -> None:
    engine = Recital()
    engine.gate.set()
    caller = app.caller(engine)
    together = Barrier(6)

    async def start() -> Exchange:
        together.wait()
        return await caller.start().complete()

    alone = app.executor.injected(Fault.ALONE, "any", times=FOR_EVER)
    with alone, ThreadPoolExecutor(6) as threads:
        answers = [f.result() for f in [threads.submit(asyncio.run, start()) for _ in range(6)]]
    assert len(engine.tasks) == 1
    assert len(caller.stored_runs()) == 1
    assert {bytes(answer.body) for answer in answers} == {bytes(answers[0].body)}
    assert answers[0].events[-1] == "STOP"
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 5


async def test_segments_are_written_while_heartbeats_fail(app: FaultyApp) -> None:
    engine = Dictation()
    caller = app.caller(engine)
    with app.executor.injected(Fault.TIMED_OUT, "heartbeat", times=FOR_EVER) as failing:
        run_id, live = await begun(caller, 1)
        await until(lambda: failing.hits > 6, "heartbeats have failed")
        engine.say("kept")
        await until(lambda: 2 in logged(caller, run_id), "the event was stored")
    engine.say(None)
    assert (await live.complete()).events[-1] == "STOP"


async def test_no_reader_sees_a_byte_of_a_zombie(app: FaultyApp) -> None:
    """It lives, talks and writes on after a reader has declared it dead; a follower looks on."""
    engine = Dictation()
    caller = app.caller(engine)

    async def talk() -> None:
        while True:
            engine.say("on and on ")
            await asyncio.sleep(0.004)

    talking = asyncio.create_task(talk())
    with app.executor.injected(Fault.TIMED_OUT, "heartbeat", times=FOR_EVER):
        run_id, zombie = await begun(caller, 20)
        follower = caller.attach(run_id)
        await until(lambda: len(follower.frames) > 10, "the follower has caught up")
        app.readers_clock.ahead = LEASE_LAPSED
        assert await status(caller, run_id) == ("FAILED", "LEASE_EXPIRED")
        declared_at = logged(caller, run_id)[-1]
        first = await replayed(caller, run_id)
        await until(lambda: logged(caller, run_id)[-1] > declared_at + 10, "the zombie writes")
        await follower.complete()
        second = await replayed(caller, run_id)
    talking.cancel()
    engine.say(None)
    await zombie.complete()
    last = await replayed(caller, run_id)
    assert first.events[-1] == "ERROR"
    assert follower.body == first.body == second.body == last.body
    assert app.outcomes == [None]
    assert "STOP" not in zombie.events
    assert await status(caller, run_id) == ("FAILED", "LEASE_EXPIRED")


async def test_an_end_that_lost_its_lease_is_nobodys(app: FaultyApp) -> None:
    """METRICS and STOP are in the log already; the header's end is the lease's."""
    engine = Recital()
    engine.gate.set()
    caller = app.caller(engine, UNHURRIED)
    with app.executor.injected(Fault.HELD, "finish") as held:
        live = caller.start()
        await until(lambda: held.hits == 1, "the end was about to be written")
        run_id = live.headers["x-run-id"]
        app.readers_clock.ahead = LEASE_LAPSED
        assert await status(caller, run_id) == ("FAILED", "LEASE_EXPIRED")
        before = await replayed(caller, run_id)
    await live.complete()
    # Its own end was never said; the one that the run was given is.
    assert live.events == ["START", "CONTENT_DELTA", "CONTENT_DELTA", "ERROR"]
    assert before.events == live.events
    assert (await replayed(caller, run_id)).body == before.body
    assert await status(caller, run_id) == ("FAILED", "LEASE_EXPIRED")


async def test_a_pause_whose_reply_was_lost_and_that_was_cancelled_is_told_as_it_is_replayed(
    app: FaultyApp,
) -> None:
    call = PendingApproval(id="c", tool="t", tool_name="t", arguments={})
    pause = TurnPaused(pending=(call,), state="{}")
    caller = app.caller(ScriptedEngine([ContentDelta(text="a"), pause]))
    with app.executor.injected(Fault.REPLY_LOST, "finish", times=FOR_EVER) as lost:
        live = caller.start()
        await until(lambda: lost.applied > 0, "the pause was stored")
        run_id = live.headers["x-run-id"]
        assert (await caller.cancel(run_id).complete()).status == 204
    await live.complete()
    assert live.events == ["START", "CONTENT_DELTA", "METRICS", "PAUSED", "CANCELLED"]
    assert await status(caller, run_id) == ("CANCELLED", None)
    assert (await replayed(caller, run_id)).body == live.body


async def test_an_outage_longer_than_the_lease_ends_the_run(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    with app.executor.injected(Fault.TIMED_OUT, "heartbeat", times=FOR_EVER):
        run_id, live = await begun(caller, 2)
        app.executors_clock.ahead = timedelta(seconds=14)
        await live.complete()
    assert engine.closed == 1
    assert live.events == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert await status(caller, run_id) == ("FAILED", "STORE_UNAVAILABLE")
    assert (await replayed(caller, run_id)).body == live.body


async def test_a_cancel_that_comes_after_the_end_was_decided_changes_nothing(
    app: FaultyApp,
) -> None:
    engine = Recital()
    engine.gate.set()
    caller = app.caller(engine, UNHURRIED)
    with app.executor.injected(Fault.HELD, "finish") as held:
        live = caller.start()
        await until(lambda: held.hits == 1, "the end was about to be written")
        run_id = live.headers["x-run-id"]
        assert (await caller.cancel(run_id).complete()).status == 204
    assert (await live.complete()).events[-1] == "STOP"
    assert (await caller.cancel(run_id).complete()).status == 204
    assert await status(caller, run_id) == ("COMPLETED", None)
    assert (await replayed(caller, run_id)).body == live.body


async def test_a_cancel_that_races_with_the_end_gives_one_end(app: FaultyApp) -> None:
    ends = set()
    for pause_s in (0, 0.005, 0.01, 0.03, None):
        engine = Recital()
        caller = app.caller(engine, QUICK)
        run_id, live = await begun(caller, 2)
        cancel = caller.cancel(run_id)
        # The race is the point: the end is let go at another moment of the cancel each time.
        if pause_s is None:
            await until(lambda: bool(app.outcomes), "the cancel has won")
        else:
            await asyncio.sleep(pause_s)
        engine.gate.set()
        await live.complete()
        assert (await cancel.complete()).status == 204
        said = {"STOP": "COMPLETED", "CANCELLED": "CANCELLED"}[live.events[-1]]
        assert await status(caller, run_id) == (said, None)
        assert (await replayed(caller, run_id)).body == live.body
        assert engine.closed == 1
        ends.add(said)
    assert "CANCELLED" in ends


@pytest.mark.parametrize("store", ["there", "away for a while"])
async def test_a_deadline_ends_a_run_durably(app: FaultyApp, store: str) -> None:
    caller = app.caller(Recital())
    run_id, live = await begun(caller, 2, remaining_s=5.6)
    if store != "there":
        with app.executor.injected(Fault.TIMED_OUT, "any", times=FOR_EVER) as away:
            await until(lambda: away.hits > 30, "the end was tried")
            assert "ERROR" not in live.events
    await live.complete()
    assert live.events == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert await status(caller, run_id) == ("FAILED", "DEADLINE_EXCEEDED")
    assert (await replayed(caller, run_id)).body == live.body


async def test_a_deadline_without_the_store_leaves_the_end_to_the_lease(
    app: FaultyApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_bounds, "DEADLINE_RESERVE", timedelta(seconds=1.1))
    caller = app.caller(Recital())
    run_id, live = await begun(caller, 2, remaining_s=1.9)
    await until(lambda: logged(caller, run_id) == [1, 2], "the events were stored")
    with app.executor.injected(Fault.TIMED_OUT, "any", times=FOR_EVER):
        await live.complete()
    assert live.events == ["START", "CONTENT_DELTA"]
    app.readers_clock.ahead = LEASE_LAPSED
    assert await status(caller, run_id) == ("FAILED", "LEASE_EXPIRED")
    assert (await replayed(caller, run_id)).events == [*live.events, "ERROR"]


async def test_an_error_that_no_retry_mends_ends_the_run_as_failed(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    with app.executor.injected(Fault.DENIED, "segment", times=FOR_EVER):
        run_id, live = await begun(caller, 1)
        await live.complete()
    assert engine.closed == 1
    assert live.events[-2:] == ["METRICS", "ERROR"]
    assert await status(caller, run_id) == ("FAILED", "INTERNAL_ERROR")
    # Nothing of it could be stored; the run's own state tells the rest.
    assert (await replayed(caller, run_id)).events == ["START", "ERROR"]


async def test_a_store_that_refuses_the_end_too_leaves_the_run_to_its_lease(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    run_id, live = await begun(caller, 1)
    with app.executor.injected(Fault.DENIED, "any", times=FOR_EVER):
        engine.gate.set()
        await live.complete()
    assert engine.closed == 1
    assert app.outcomes == [None]
    app.readers_clock.ahead = LEASE_LAPSED
    assert await status(caller, run_id) == ("FAILED", "LEASE_EXPIRED")


async def test_segments_outlive_the_day_after_the_longest_run(app: FaultyApp) -> None:
    """Lambda's 15 minutes lie between the first segment and the end that the day counts from."""
    engine = Recital()
    engine.gate.set()
    caller = app.caller(engine)
    at_s = app.executors_clock.now().timestamp()
    await caller.start().complete()
    items = app.table.scan(TableName=TABLE)["Items"]
    ends = [float(item["ttl"]["N"]) for item in items if item["sk"]["S"].startswith("EV#")]
    assert ends
    assert min(ends) >= int(at_s) + (24 * 60 + 15) * 60
