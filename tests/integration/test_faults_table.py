"""
Every fault of the store, at every operation, for as long as it matters: what a client sees.

`pytest --collect-only -q tests/integration/test_faults_table.py` prints the table; docs/reliability.md
has it too, and a test keeps the two equal.
"""

import random
import string
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import pytest

from tests.fakes.faults import FOR_EVER, Fault
from tests.integration.faulty_app import Caller, Exchange, FaultyApp, Recital, faulty_app, until

pytestmark = pytest.mark.anyio

LEASE_LAPSED = timedelta(seconds=18)
GAP = 1_000_000


class Length(StrEnum):
    """How long a fault lasts; one call of botocore's is three attempts."""

    ATTEMPT = "one attempt"
    CALL = "one call"
    LASTING = "until the end"


TIMES = {Length.ATTEMPT: 1, Length.CALL: 3, Length.LASTING: FOR_EVER}


class Seen(StrEnum):
    """What comes of it for the client; each is a check below."""

    NOTHING = "nothing"
    REFUSED = "503"
    ORPHAN = "503, one dead run"
    BROKEN = "broken off"
    SAID_LATER = "broken off, end in the log"
    WAITS = "waits"
    REPORTED = "reported, not repaired"


EXECUTING = ("start", "segment", "heartbeat", "output", "finish")
READING = ("status", "batch", "attach", "replay", "repair", "batch repair", "cancel")
OPERATIONS = (*EXECUTING, *READING)
FAULTS = (
    Fault.THROTTLED,
    Fault.SERVER_ERROR,
    Fault.TIMED_OUT,
    Fault.REPLY_LOST,
    Fault.REFUSED,
    Fault.SLOW,
    Fault.UNPROCESSED,
)
LONG_FAULT = {
    "start": Seen.REFUSED,
    "segment": Seen.BROKEN,
    "heartbeat": Seen.NOTHING,
    "output": Seen.BROKEN,
    "finish": Seen.BROKEN,
    "replay": Seen.WAITS,
    "batch repair": Seen.REPORTED,
}
REPLIES_LOST = {"start": Seen.ORPHAN, "finish": Seen.SAID_LATER}


@dataclass(frozen=True)
class Row:
    operation: str
    length: Length
    fault: Fault
    seen: Seen

    def __str__(self) -> str:
        return f"{self.operation} | {self.fault} for {self.length} | {self.seen}"


def expected(operation: str, length: Length, fault: Fault) -> Seen | None:
    """Say what a client sees; None where there is no such row."""
    if fault is Fault.UNPROCESSED and operation != "batch":
        return None
    if fault is Fault.SLOW:
        return Seen.NOTHING if length is Length.ATTEMPT else None
    if length is Length.ATTEMPT or (fault is Fault.UNPROCESSED and length is Length.CALL):
        return Seen.NOTHING
    if length is Length.LASTING and fault is Fault.REPLY_LOST and operation in REPLIES_LOST:
        return REPLIES_LOST[operation]
    if operation in EXECUTING and length is Length.CALL:
        return Seen.NOTHING
    if operation == "replay" and length is Length.CALL:
        return Seen.NOTHING
    return LONG_FAULT.get(operation, Seen.REFUSED)


ROWS = [
    Row(operation, length, fault, seen)
    for operation in OPERATIONS
    for length in Length
    for fault in FAULTS
    if (seen := expected(operation, length, fault))
]
EXECUTED = [row for row in ROWS if row.operation in EXECUTING]
READ = [row for row in ROWS if row.operation in READING]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyApp]:
    with faulty_app(tmp_path_factory.mktemp("faults")) as app:
        app.status.ports.store._batch._budget_s = 0.2
        yield app


def long_text() -> str:
    """Give an output that no header has room for; random letters compress badly."""
    chance = random.Random(3)
    return "".join(chance.choices(string.ascii_letters, k=9_000))


@pytest.mark.parametrize("row", EXECUTED, ids=str)
async def test_a_fault_of_an_executors_write(app: FaultyApp, row: Row) -> None:
    last = long_text() if row.operation == "output" else "c"
    engine = Recital("a", "b", last)
    caller = app.caller(engine)
    times = TIMES[row.length]
    with app.executor.injected(row.fault, row.operation, times=times) as injection:
        asked = caller.start()
        if row.operation in {"segment", "heartbeat"}:
            await until(lambda: injection.hits >= min(times, 4), "the fault was met")
        engine.gate.set()
        answer = await asked.complete()
    assert injection.hits >= min(times, 3)
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
    """The end is durable but its executor could not learn so; whoever comes back is told."""
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


@pytest.mark.parametrize("row", READ, ids=str)
async def test_a_fault_of_a_reader(app: FaultyApp, row: Row) -> None:
    engine = Recital("a", "b", "c")
    caller = app.caller(engine)
    run_id, live = await a_run_to_read(caller, engine, row.operation)
    client = app.executor if row.operation in {"attach", "replay"} else app.reader
    operation, times = REQUESTS[row.operation], TIMES[row.length]
    with client.injected(row.fault, operation, times=times) as injection:
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
    await is_answered(caller, row.operation, run_id, answer)
    engine.gate.set()
    await live.complete()
    assert caller.stored_runs() == [run_id]
    assert len(engine.tasks) == 1


async def a_run_to_read(caller: Caller, engine: Recital, operation: str) -> tuple[str, Exchange]:
    """Start a run; it has ended, or is held before its last text, as the operation needs it."""
    live = caller.start()
    if operation in {"status", "batch", "attach", "replay"}:
        engine.gate.set()
        await live.complete()
    else:
        await until(lambda: len(live.frames) == 3, "the run has begun")
    if "repair" in operation:
        caller.app.readers_clock.ahead = LEASE_LAPSED
    return live.headers["x-run-id"], live


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
