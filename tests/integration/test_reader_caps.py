"""The stream function with a cap on readers: who is refused, how, and until when."""

from collections.abc import Iterator

import pytest

from tests.integration.asgi_exchange import Exchange, until
from tests.integration.faulty_app import Caller, FaultyApp, Recital, faulty_app
from tests.tables import TABLE

pytestmark = pytest.mark.anyio

CAP = 2


@pytest.fixture(scope="module")
def app(dynamodb_url: str) -> Iterator[FaultyApp]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTRUN_MAX_READERS_PER_USER", str(CAP))
        with faulty_app(dynamodb_url) as app:
            yield app


async def reading(exchange: Exchange) -> Exchange:
    await until(lambda: bool(exchange.frames), "a frame came")
    return exchange


async def refused(exchange: Exchange) -> None:
    answer = await exchange.complete()
    assert (answer.status, answer.headers["retry-after"]) == (429, "5")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:problem-type:too-many-runs"
    assert answer.json["detail"] == f"A user's runs may have at most {CAP} readers at once."


def places(caller: Caller) -> list[str]:
    """Return the names of the places that readers of the tenant hold."""
    prefix = f"ORG#{caller.tenant}#READERS#"
    items = caller.app.table.scan(TableName=TABLE)["Items"]
    found = [item for item in items if item["pk"]["S"].startswith(prefix)]
    return [name for item in found for name in item.get("readers", {"SS": []})["SS"]]


async def test_readers_beyond_the_cap_are_refused_until_one_has_left(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    live = await reading(caller.start())
    run_id = live.headers["x-run-id"]
    # One attaches, one sends the same request again; the one who has begun the run is none of them.
    readers = [await reading(caller.attach(run_id)), await reading(caller.start())]
    assert readers[1].headers["idempotent-replayed"] == "true"
    assert len(places(caller)) == CAP
    await refused(caller.attach(run_id))
    await refused(await caller.attach_by_ticket(run_id))
    await refused(caller.start())
    assert (await caller.poll(run_id).complete()).json["status"] == "RUNNING"
    engine.gate.set()
    for exchange in (live, *readers):
        assert (await exchange.complete()).events[-1] == "STOP"
    assert places(caller) == []
    for _ in range(CAP + 1):
        assert (await caller.attach(run_id).complete()).events[-1] == "STOP"


async def test_a_reader_with_a_ticket_holds_a_place_like_any_other(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    live = await reading(caller.start())
    run_id = live.headers["x-run-id"]
    readers = [await reading(await caller.attach_by_ticket(run_id)) for _ in range(CAP)]
    assert len(places(caller)) == CAP
    await refused(caller.attach(run_id))
    engine.gate.set()
    for exchange in (live, *readers):
        assert (await exchange.complete()).events[-1] == "STOP"
    assert places(caller) == []


async def test_a_run_that_has_ended_is_replayed_without_a_write(app: FaultyApp) -> None:
    engine = Recital()
    caller = app.caller(engine)
    engine.gate.set()
    run_id = (await caller.start().complete()).headers["x-run-id"]
    before = app.table.scan(TableName=TABLE)["Items"]
    for _ in range(CAP + 1):
        assert (await caller.attach(run_id).complete()).events[-1] == "STOP"
        assert (await caller.start().complete()).events[-1] == "STOP"
    assert app.table.scan(TableName=TABLE)["Items"] == before
