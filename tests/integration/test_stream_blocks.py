"""No path sends a block without data: some readers take one for an empty message."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agentrun.domain.runs import Lease
from tests.fakes.faults import FOR_EVER, Fault
from tests.integration.asgi_exchange import Exchange, until
from tests.integration.faulty_app import Caller, Dictation, FaultyApp, faulty_app
from tests.runs import EXECUTOR, a_request, a_run, completed, deltas
from tests.sse_blocks import COMMENT, blocks

pytestmark = pytest.mark.anyio
PING = f"{COMMENT}\n".encode()


@pytest.fixture(scope="module")
def app(dynamodb_url: str) -> Iterator[FaultyApp]:
    with faulty_app(dynamodb_url) as app:
        app.stream.routes.ping_after_s = 0.02
        yield app


async def silence(exchange: Exchange) -> None:
    """Wait until two more comments have come."""
    comments = exchange.body.count(PING)
    await until(lambda: exchange.body.count(PING) >= comments + 2, "two comments came")


def ids(exchange: Exchange) -> list[int]:
    return [int(block["id"]) for block in blocks(bytes(exchange.body))]


async def spoken(caller: Caller, engine: Dictation, *texts: str) -> tuple[str, Exchange]:
    """Start a run, and be silent before, between and after its texts."""
    live = caller.start()
    await until(lambda: len(live.frames) == 1, "START came")
    await silence(live)
    for text in texts:
        engine.say(text)
        await silence(live)
    return live.headers["x-run-id"], live


async def test_live_and_replayed(app: FaultyApp) -> None:
    engine = Dictation()
    caller = app.caller(engine)
    run_id, live = await spoken(caller, engine, "a", "b")
    attached = caller.attach(run_id)
    await silence(attached)
    engine.say("c", None)
    assert ids(await live.complete()) == [1, 2, 3, 4, 5, 6]
    assert ids(await attached.complete()) == [1, 2, 3, 4, 5, 6]
    for cursor in range(6):
        replay = await caller.attach(run_id, cursor).complete()
        assert ids(replay) == list(range(cursor + 1, 7))
        assert PING not in replay.body


async def test_attached_after_all_that_has_been_said(app: FaultyApp) -> None:
    engine = Dictation()
    caller = app.caller(engine)
    run_id, live = await spoken(caller, engine, "a")
    attached = caller.attach(run_id, 2)
    await silence(attached)
    assert ids(attached) == []
    engine.say(None)
    await live.complete()
    assert ids(await attached.complete()) == [3, 4]


@pytest.mark.parametrize("cursor", [0, 1, 9])
async def test_attached_before_anything_has_been_said(app: FaultyApp, cursor: int) -> None:
    caller = app.caller(Dictation())
    now = datetime.now(UTC)
    lease = Lease(executor=EXECUTOR, until=now + timedelta(minutes=5))
    run = a_run(org_id=caller.tenant, created_at=now, lease=lease)
    app.stream.runs.store.start(run, a_request())
    attached = caller.attach(run.id, cursor)
    await silence(attached)
    assert ids(attached) == [1][cursor:]
    app.stream.runs.log.append(run.key, deltas(2, 12), at=now)
    app.stream.runs.store.finish(run.key, EXECUTOR, completed(last_event_id=12), at=now)
    assert ids(await attached.complete()) == list(range(cursor + 1, 13))


async def test_a_run_that_was_cut_off_while_silent(app: FaultyApp) -> None:
    engine = Dictation()
    caller = app.caller(engine)
    _, live = await spoken(caller, engine, "a")
    assert ids(live) == [1, 2]
    engine.say(None)
    await live.complete()


async def test_while_the_store_is_away(app: FaultyApp) -> None:
    engine = Dictation()
    caller = app.caller(engine)
    run_id, live = await spoken(caller, engine, "a")
    attached = caller.attach(run_id, 1)
    await until(lambda: attached.status == 200, "it was attached to")
    with app.executor.injected(Fault.REFUSED, "any", times=FOR_EVER):
        await silence(attached)
        await silence(live)
    engine.say(None)
    assert ids(await attached.complete()) == [2, 3, 4]
    assert ids(await live.complete()) == [1, 2, 3, 4]
