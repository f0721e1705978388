"""Faults of the store while a run passes from one executor to the next."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from agentrun.domain.events import ContentDelta, ToolEnd, ToolStart
from agentrun.domain.runs import RunKey
from agentrun.domain.steps import Answered, Returned
from agentrun.service.executing import bounds
from tests.fakes.faults import Fault
from tests.fakes.scripted_engine import Keep, ScriptedEngine
from tests.integration.asgi_exchange import Exchange, until
from tests.integration.fault_rows import PASSING, TIMES, Length, Row, Seen
from tests.integration.faulty_app import LAPSED, Caller, FaultyApp, faulty_app

pytestmark = pytest.mark.anyio

GAP = 1_000_000
ASKED_FOR = timedelta(seconds=15)
CALL = ToolStart(id="c1", name="order", arguments={})
DONE = Keep(Returned(call_id="c1", part="r"), say=ToolEnd(id="c1", name="order", result=1))
SCRIPT = (
    ContentDelta(text="a"),
    Keep(Answered(message="m", acting=("c1",))),
    CALL,
    DONE,
    ContentDelta(text="b"),
)
BEFORE, AFTER = ["START", "CONTENT_DELTA"], ["TOOL_START", "TOOL_END", "CONTENT_DELTA"]
END = ["METRICS", "STOP"]


@pytest.fixture(scope="module")
def app(dynamodb_url: str) -> Iterator[FaultyApp]:
    with faulty_app(dynamodb_url) as app:
        yield app


def rows(operation: str) -> pytest.MarkDecorator:
    found = [row for row in PASSING if row.operation == operation]
    return pytest.mark.parametrize("row", found, ids=str)


async def is_over(caller: Caller, run_id: str, *, attempt: int) -> Exchange:
    """The run is whole, and a replay tells all of it; return that."""
    run = (await caller.poll(run_id).complete()).json
    assert (run["status"], run["output"], run["attempt"]) == ("COMPLETED", "ab", attempt)
    return await caller.attach(run_id).complete()


@rows("step")
async def test_a_fault_of_a_step(app: FaultyApp, row: Row) -> None:
    """No tool begins before its answer is durable, however long that takes."""
    engine = ScriptedEngine(SCRIPT)
    caller = app.caller(engine, attempts=3)
    with app.executor.injected(row.fault, "step", times=TIMES[row.length]) as injection:
        live = caller.start()
        if row.seen is Seen.WAITS:
            await until(lambda: injection.hits > 6, "the step was tried again")
            assert (live.events, engine.begun) == (BEFORE, [])
            injection.release()
        await live.complete()
    assert injection.hits >= min(TIMES[row.length], 3)
    assert live.events == [*BEFORE, *AFTER, *END]
    assert engine.begun == ["c1"]
    assert (await is_over(caller, live.headers["x-run-id"], attempt=1)).body == live.body


@rows("hand over")
async def test_a_fault_of_a_hand_over(
    app: FaultyApp, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever attaches again goes on; nothing is lost, and no tool runs twice."""
    monkeypatch.setattr(bounds, "DEADLINE_RESERVE", timedelta(seconds=1))
    engine = ScriptedEngine(SCRIPT)
    caller = app.caller(engine, attempts=3)
    with app.executor.injected(row.fault, "hand over", times=TIMES[row.length]) as injection:
        live = await caller.start(remaining_s=1.6).complete()
    assert injection.hits >= min(TIMES[row.length], 3)
    assert (live.events, engine.begun) == (BEFORE, [])
    run_id, is_again = live.headers["x-run-id"], row.seen is Seen.AGAIN
    if is_again:
        app.pass_time(LAPSED)
    elif row.length is not Length.LASTING:
        assert app.queue.sent == [(RunKey(tenant=caller.tenant, run_id=run_id), timedelta())]
    rest = await caller.attach(run_id, 2).complete()
    assert rest.events == ["START", *(["STEP_RESET"] if is_again else []), *AFTER, *END]
    assert rest.frames[0].id == (2 + GAP if is_again else 3)
    assert engine.begun == ["c1"]
    whole = await is_over(caller, run_id, attempt=2 if is_again else 1)
    assert whole.frames == live.frames + rest.frames


async def lost(app: FaultyApp) -> tuple[Caller, str]:
    """Begin a run in a process that dies, once the first event is stored."""
    gate = asyncio.Event()
    caller = app.caller(ScriptedEngine([SCRIPT[0], gate, *SCRIPT[1:]]), attempts=3)
    live = caller.start()
    await until(lambda: len(live.frames) == 2, "the run has begun")
    run_id = live.headers["x-run-id"]
    key = RunKey(tenant=caller.tenant, run_id=run_id)
    log, clock = app.stream.runs.log, app.executors_clock
    await until(lambda: len(log.read(key, after=0, at=clock.now())) == 2, "it is stored")
    await app.kill()
    gate.set()
    return caller, run_id


@rows("take over")
async def test_a_fault_of_a_take_over(app: FaultyApp, row: Row) -> None:
    """A reader takes the run over once the store lets it, and reads it to its end."""
    caller, run_id = await lost(app)
    with app.executor.injected(row.fault, "take over", times=TIMES[row.length]) as injection:
        reading = caller.attach(run_id, 2)
        if row.seen is Seen.WAITS:
            await until(lambda: injection.hits > 6, "it was tried again")
            assert reading.events == []
            injection.release()
        is_later = row.seen is Seen.LEASE
        if is_later:
            await until(lambda: injection.hits == 3, "nobody knows that the run is taken")
            injection.release()
            app.pass_time(LAPSED)
        await reading.complete()
    assert injection.hits >= min(TIMES[row.length], 3)
    assert reading.events == ["START", "STEP_RESET", "CONTENT_DELTA", *AFTER, *END]
    assert reading.frames[0].id == 2 + (2 if is_later else 1) * GAP
    whole = await is_over(caller, run_id, attempt=3 if is_later else 2)
    assert whole.frames[2:] == reading.frames


@rows("ask")
async def test_a_fault_of_a_request_for_an_executor(app: FaultyApp, row: Row) -> None:
    """The poll is answered all the same; if nobody was asked, a later one asks."""
    caller, run_id = await lost(app)
    message = (RunKey(tenant=caller.tenant, run_id=run_id), timedelta())
    with app.reader.injected(row.fault, "ask", times=TIMES[row.length]) as injection:
        run = (await caller.poll(run_id).complete()).json
    assert injection.hits >= min(TIMES[row.length], 3)
    assert run["status"] == "RUNNING"
    if row.seen is Seen.LATER:
        assert app.queue.sent == []
        app.pass_time(ASKED_FOR)
        assert (await caller.poll(run_id).complete()).json["status"] == "RUNNING"
    if row.fault is not Fault.REPLY_LOST or row.seen is Seen.LATER:
        assert app.queue.sent == [message]
