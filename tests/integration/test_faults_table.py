"""Every fault of the store, at every operation, for as long as it matters: what a client sees."""

import asyncio
import random
import string
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from agentrun.service.executing import execution as run_execution
from tests.fakes.faults import Fault
from tests.integration.asgi_exchange import Exchange, until
from tests.integration.fault_rows import (
    NOTICED,
    READERS_WRITES,
    READS,
    TIMES,
    UNNOTICED,
    WRITES,
    Length,
    Row,
    Seen,
)
from tests.integration.faulty_app import (
    QUICK,
    UNHURRIED,
    Caller,
    FaultyApp,
    Recital,
    faulty_app,
)

pytestmark = pytest.mark.anyio

LEASE_LAPSED = timedelta(seconds=18)
GAP = 1_000_000


@pytest.fixture(scope="module")
def app(dynamodb_url: str) -> Iterator[FaultyApp]:
    with faulty_app(dynamodb_url) as app, pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentrun.adapters.dynamo.connection.client.LONGEST_WITHOUT_PROGRESS_S", 0.5)
        yield app


def long_text() -> str:
    """Return an output that no header has room for; random letters compress badly."""
    chance = random.Random(3)
    return "".join(chance.choices(string.ascii_letters, k=9_000))


@pytest.mark.parametrize(("length", "fault"), UNNOTICED, ids=str)
async def test_a_fault_of_every_write_of_one_run(
    app: FaultyApp, length: Length, fault: Fault
) -> None:
    """Start, segment, heartbeat, output and finish meet it, and the client sees nothing of it."""
    engine = Recital("a", "b", long_text())
    caller = app.caller(engine)
    with ExitStack() as faults:
        injections = {
            operation: faults.enter_context(
                app.executor.injected(fault, operation, times=TIMES[length])
            )
            for operation in WRITES
        }
        asked = caller.start()
        for operation in ("segment", "heartbeat"):
            await until(injections[operation].is_over, f"{operation} met the fault")
        engine.gate.set()
        answer = await asked.complete()
    assert all(injection.is_over() for injection in injections.values())
    await is_whole(caller, engine, answer)


@pytest.mark.parametrize("row", NOTICED, ids=str)
async def test_a_fault_of_a_write_for_ever(
    app: FaultyApp, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_execution, "FINISH_PATIENCE", timedelta(seconds=0.05))
    engine = Recital("a", "b", long_text() if row.operation == "output" else "c")
    caller = app.caller(engine)
    with app.executor.injected(row.fault, row.operation, times=TIMES[row.length]) as injection:
        asked = caller.start()
        if row.operation in {"segment", "heartbeat"}:
            await until(lambda: injection.hits >= 4, "the write was tried again")
        engine.gate.set()
        answer = await asked.complete()
    assert injection.hits >= 3
    await CHECKS[row.seen](caller, engine, answer)


async def is_whole(caller: Caller, engine: Recital, answer: Exchange) -> None:
    """The client has seen the whole run; status, replay and a repeated request agree."""
    run_id = answer.headers["x-run-id"]
    deltas = ["CONTENT_DELTA"] * len(engine.texts)
    assert answer.events == ["START", *deltas, "METRICS", "STOP"]
    await agrees(caller, engine, answer, run_id)


async def agrees(caller: Caller, engine: Recital, answer: Exchange, run_id: str) -> None:
    assert [frame.id for frame in answer.frames] == list(range(1, len(engine.texts) + 4))
    run = (await caller.poll(run_id).complete()).json
    assert (run["status"], run["output"]) == ("COMPLETED", "".join(engine.texts))
    assert (await caller.poll_many([run_id]).complete()).json[0]["status"] == "COMPLETED"
    assert (await caller.attach(run_id).complete()).body == answer.body
    again = await caller.start().complete()
    assert (again.headers["idempotent-replayed"], again.body) == ("true", answer.body)
    assert caller.stored_runs() == [run_id]
    assert len(engine.tasks) == engine.closed == 1


async def is_refused(caller: Caller, engine: Recital, answer: Exchange) -> None:
    """Nothing has happened, and the client is told to come back; then it gets its run."""
    unavailable(answer)
    assert caller.stored_runs() == []
    assert engine.tasks == []
    await is_whole_at_last(caller, engine)


async def is_whole_at_last(caller: Caller, engine: Recital) -> None:
    await is_whole(caller, engine, await caller.start().complete())


async def is_refused_with_an_orphan(caller: Caller, engine: Recital, answer: Exchange) -> None:
    """Nobody could learn that the run was stored: it is never executed, and the key says so."""
    unavailable(answer)
    [run_id] = caller.stored_runs()
    caller.app.readers_clock.ahead = LEASE_LAPSED
    assert (await caller.poll(run_id).complete()).json["errorType"] == "LEASE_EXPIRED"
    again = await caller.start().complete()
    assert [(f.id, f.event) for f in again.frames] == [(1, "START"), (1 + GAP, "ERROR")]
    assert caller.stored_runs() == [run_id]
    assert engine.tasks == []


async def is_broken_off(caller: Caller, engine: Recital, answer: Exchange) -> None:
    """The stream says no end; the lease does, to everybody alike, after what was stored."""
    run_id = answer.headers["x-run-id"]
    assert answer.events == ["START", *["CONTENT_DELTA"] * len(engine.texts)]
    assert caller.app.outcomes == [None]
    caller.app.readers_clock.ahead = LEASE_LAPSED
    run = (await caller.poll(run_id).complete()).json
    assert (run["status"], run["errorType"]) == ("FAILED", "LEASE_EXPIRED")
    replay = await caller.attach(run_id).complete()
    *stored, end = replay.frames
    assert stored == answer.frames[: len(stored)]
    assert (end.event, end.id >= len(stored) + GAP) == ("ERROR", True)
    after_what_was_seen = await caller.attach(run_id, answer.frames[-1].id).complete()
    assert after_what_was_seen.frames == [end]
    assert (await caller.start().complete()).body == replay.body
    assert (await caller.poll(run_id).complete()).json == run
    assert (await caller.poll_many([run_id]).complete()).json == [run]
    assert caller.stored_runs() == [run_id]
    assert len(engine.tasks) == engine.closed == 1


async def is_said_later(caller: Caller, engine: Recital, answer: Exchange) -> None:
    """The end is durable but its executor could not learn so; a reader that comes back is told."""
    run_id = answer.headers["x-run-id"]
    assert answer.events == ["START", *["CONTENT_DELTA"] * len(engine.texts)]
    rest = await caller.attach(run_id, answer.frames[-1].id).complete()
    assert rest.events == ["METRICS", "STOP"]
    whole = await caller.attach(run_id).complete()
    assert whole.frames == answer.frames + rest.frames
    await agrees(caller, engine, whole, run_id)


def unavailable(answer: Exchange) -> None:
    assert (answer.status, answer.json["type"]) == (503, "urn:problem-type:unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


CHECKS: dict[Seen, Callable[[Caller, Recital, Exchange], Awaitable[None]]] = {
    Seen.NOTHING: is_whole,
    Seen.REFUSED: is_refused,
    Seen.ORPHAN: is_refused_with_an_orphan,
    Seen.BROKEN: is_broken_off,
    Seen.SAID_LATER: is_said_later,
}
REQUESTS = {
    "status": "read state",
    "batch": "read batch",
    "attach": "read state",
    "replay": "read events",
    "repair": "repair",
    "batch repair": "repair",
    "cancel": "cancel",
}


@pytest.fixture(scope="module")
def ended(app: FaultyApp) -> tuple[Caller, str]:
    """Return a run that has ended, for tests that only read."""
    engine = Recital("a", "b", "c")
    engine.gate.set()
    caller = app.caller(engine)

    async def run() -> str:
        return (await caller.start().complete()).headers["x-run-id"]

    return caller, asyncio.run(run())


@pytest.mark.parametrize("row", READS, ids=str)
async def test_a_fault_of_a_read(app: FaultyApp, ended: tuple[Caller, str], row: Row) -> None:
    await check_reader(app, *ended, row)


@pytest.mark.parametrize("row", READERS_WRITES, ids=str)
async def test_a_fault_of_a_readers_write(app: FaultyApp, row: Row) -> None:
    engine = Recital("a", "b", "c")
    # A heartbeat would come between a lapsed lease and its repair.
    caller = app.caller(engine, UNHURRIED if "repair" in row.operation else QUICK)
    live = caller.start()
    await until(lambda: len(live.frames) == 3, "the run has begun")
    run_id = live.headers["x-run-id"]
    if "repair" in row.operation:
        app.readers_clock.ahead = LEASE_LAPSED
    await check_reader(app, caller, run_id, row)
    engine.gate.set()
    await live.complete()
    assert caller.stored_runs() == [run_id]
    assert len(engine.tasks) == engine.closed == 1


async def check_reader(app: FaultyApp, caller: Caller, run_id: str, row: Row) -> None:
    client = app.executor if row.operation in {"attach", "replay"} else app.reader
    times = TIMES[row.length]
    with client.injected(row.fault, REQUESTS[row.operation], times=times) as injection:
        asked = ask(caller, row.operation, run_id)
        if row.seen is Seen.WAITS:
            await until(lambda: injection.hits > 6, "the store was asked again")
            assert asked.events == ["START"]
            injection.release()
        answer = await asked.complete()
    assert injection.hits >= min(times, 3)
    if row.seen is Seen.REFUSED:
        unavailable(answer)
        answer = await ask(caller, row.operation, run_id).complete()
    if row.seen is Seen.LATER:
        # An end that may not be durable is no end.
        assert [run["status"] for run in answer.json] == ["RUNNING"]
        answer = await ask(caller, row.operation, run_id).complete()
    await is_answered(caller, row.operation, run_id, answer)


def ask(caller: Caller, operation: str, run_id: str) -> Exchange:
    match operation:
        case "status" | "repair":
            return caller.poll(run_id)
        case "batch" | "batch repair":
            return caller.poll_many([run_id, "unknown"])
        case "cancel":
            return caller.cancel(run_id)
        case _:
            return caller.attach(run_id)


async def is_answered(caller: Caller, operation: str, run_id: str, answer: Exchange) -> None:
    match operation:
        case "status":
            assert (answer.status, answer.json["status"]) == (200, "COMPLETED")
        case "batch":
            assert [(run["id"], run["status"]) for run in answer.json] == [(run_id, "COMPLETED")]
        case "attach" | "replay":
            assert [frame.id for frame in answer.frames] == [1, 2, 3, 4, 5, 6]
            assert answer.events[-1] == "STOP"
        case "repair" | "batch repair":
            run = answer.json[0] if operation == "batch repair" else answer.json
            assert (run["status"], run["errorType"]) == ("FAILED", "LEASE_EXPIRED")
            assert (await caller.poll(run_id).complete()).json["errorType"] == "LEASE_EXPIRED"
        case "cancel":
            assert answer.status == 204
            await until(lambda: bool(caller.app.outcomes), "the run has seen it")
            assert (await caller.poll(run_id).complete()).json["status"] == "CANCELLED"
