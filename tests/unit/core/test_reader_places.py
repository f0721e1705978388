"""Places of readers: taken by those of runs under way alone, freed however they leave."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import JsonValue

from agentrun.domain.errors import TooManyRunsError
from agentrun.domain.events import ContentDelta, EventType
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import LEASE_GRACE_S, AgentRun, Lease
from agentrun.service import attach as attaching
from agentrun.service.attach import RunFollower
from agentrun.service.reader_places import LONGEST_READING
from agentrun.service.reconnect import Reader
from agentrun.service.run_execution import RunExecution
from agentrun.service.run_launcher import RunStream
from agentrun.service.start_run import Idempotency
from tests.fakes.scripted_engine import ScriptedEngine
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, paused
from tests.workshop import ANA, Workshop, read_all, types

pytestmark = pytest.mark.anyio

BODY: dict[str, JsonValue] = {"message": "hello"}
REQUEST = RunRequest(message="hello")
KEY = Idempotency(key="again", body={})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "SHORTEST_PAUSE_S", 0.001)
    monkeypatch.setattr(attaching, "LONGEST_PAUSE_S", 0.002)


class Library(Workshop):
    """Runs under way, and two readers at most for those of a user."""

    def __init__(self, *, max_readers: int = 2) -> None:
        super().__init__(max_readers=max_readers)
        self.gate = asyncio.Event()
        self.here = self.launcher(ScriptedEngine([ContentDelta(text="a"), self.gate]))

    def start(self, run_id: str = "run-1", **changes: object) -> AgentRun:
        """Store a run that is under way."""
        run = a_run(run_id, session_id=run_id, **changes)
        self.store.start(run, a_request())
        return run

    def follower(self, run: AgentRun) -> RunFollower:
        return RunFollower(self.store.get(run.key), 0, self.runs)

    async def read(self, run: AgentRun) -> RunFollower:
        """Admit a reader, which has yet to begin to read."""
        return await self.here.admit(self.follower(run), deadline=None)

    async def begin(
        self, *, idempotency: Idempotency | None = None, reader: Reader | None = None
    ) -> RunStream:
        return await self.here.begin(
            ANA, "echo", REQUEST, idempotency=idempotency, reader=reader, deadline=None
        )

    @property
    def places(self) -> int:
        return len(self.readers.held)


@pytest.fixture
def library() -> Library:
    return Library()


async def test_a_reader_too_many_is_refused_and_told_when_to_come_again(library: Library) -> None:
    run = library.start()
    await library.read(run)
    await library.read(run)
    with pytest.raises(TooManyRunsError, match="may have at most 2 readers") as refused:
        await library.read(run)
    assert refused.value.retry_after_s == 5
    assert library.places == 2


async def test_a_reader_that_has_read_to_the_end_has_left(library: Library) -> None:
    run = library.start()
    readers = [await library.read(run), await library.read(run)]
    library.store.finish(run.key, EXECUTOR, completed(last_event_id=5), at=AT)
    for reader in readers:
        async for _ in reader.batches(idle_s=60):
            assert library.places > 0
    assert library.places == 0


async def test_a_reader_that_gives_up_has_left(library: Library) -> None:
    run = library.start()
    batches = (await library.read(run)).batches(idle_s=60)
    await anext(batches)
    assert library.places == 1
    await batches.aclose()
    assert library.places == 0


async def test_a_reader_that_is_cut_off_while_it_waits_has_left(library: Library) -> None:
    reader, begun = await library.read(library.start()), asyncio.Event()

    async def read() -> None:
        async for _ in reader.batches(idle_s=60):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    # The one thread of the store has done what was asked of it before.
    await asyncio.get_running_loop().run_in_executor(library.runs.threads, lambda: None)
    assert library.places == 0


async def test_what_is_read_in_a_moment_takes_no_place(library: Library) -> None:
    ended, waiting = library.start("ended"), library.start("waiting")
    library.store.finish(ended.key, EXECUTOR, completed(last_event_id=5), at=AT)
    library.store.finish(waiting.key, EXECUTOR, paused(), at=AT)
    for run in (ended, waiting):
        for _ in range(5):
            await library.read(run)
    assert library.places == 0


async def test_places_whose_runs_have_ended_are_anothers(library: Library) -> None:
    """Their readers were killed: nobody has freed them."""
    dead, alive = library.start("dead"), library.start("alive")
    await library.read(dead)
    await library.read(alive)
    library.store.finish(dead.key, EXECUTOR, completed(last_event_id=5), at=AT)
    await library.read(alive)
    assert {place.run_id for place in library.readers.held} == {"alive"}
    with pytest.raises(TooManyRunsError):
        await library.read(alive)


async def test_places_of_runs_whose_process_died_are_anothers(library: Library) -> None:
    dead = library.start("dead")
    await library.read(dead)
    await library.read(dead)
    lease = Lease(executor=EXECUTOR, until=AT + timedelta(hours=1))
    alive = library.start("alive", lease=lease)
    library.clock.advance(15 + LEASE_GRACE_S + 1)
    await library.read(alive)
    assert {place.run_id for place in library.readers.held} == {"alive"}


async def test_a_place_is_free_when_its_process_has_been_stopped(library: Library) -> None:
    run = library.start(lease=Lease(executor=EXECUTOR, until=AT + timedelta(hours=1)))
    until = AT + timedelta(minutes=2)
    for deadline in (until, None):
        await library.here.admit(library.follower(run), deadline=deadline)
    assert {place.until for place in library.readers.held} == {until, AT + LONGEST_READING}
    library.clock.advance(121)
    await library.read(run)
    with pytest.raises(TooManyRunsError):
        await library.read(run)


async def test_readers_of_another_users_runs_are_not_in_the_way(library: Library) -> None:
    hers, his = library.start("hers"), library.start("his", user_id="bob")
    for run in (hers, hers, his, his):
        await library.read(run)
    with pytest.raises(TooManyRunsError):
        await library.read(his)


async def test_an_administrator_counts_where_they_read(library: Library) -> None:
    """One backend may read for everybody."""
    admin = Principal(tenant="acme", user_id="admin", roles=frozenset({"admin"}))
    for run in (library.start("hers"), library.start("his", user_id="bob")):
        for _ in range(2):
            follower = await attaching.attach(admin, "echo", run.id, cursor=0, ports=library.runs)
            assert follower is not None
            await library.here.admit(follower, deadline=None)
    assert library.places == 4


async def test_a_request_that_is_repeated_meanwhile_takes_a_place(library: Library) -> None:
    first = await library.begin(idempotency=KEY)
    assert isinstance(first, RunExecution)
    assert library.places == 0
    again = [await library.begin(idempotency=KEY) for _ in range(2)]
    with pytest.raises(TooManyRunsError, match="readers"):
        await library.begin(idempotency=KEY)
    library.gate.set()
    assert types(await read_all(first))[-1] is EventType.STOP
    for reader in again:
        assert [batch async for batch in reader.batches(idle_s=60)]
    assert library.places == 0


async def test_a_reader_that_posts_again_takes_a_place(library: Library) -> None:
    first = await library.begin(reader=Reader(body=BODY))
    assert isinstance(first, RunExecution)
    again = Reader(body=BODY, cursor=1)
    for _ in range(2):
        assert isinstance(await library.begin(reader=again), RunFollower)
    with pytest.raises(TooManyRunsError, match="readers"):
        await library.begin(reader=again)
    library.gate.set()
    await read_all(first)
    assert len(library.store.runs) == 1


async def test_no_limit_costs_nothing(library: Library) -> None:
    unlimited = Library(max_readers=0)
    run = unlimited.start()
    for _ in range(9):
        await unlimited.read(run)
    assert unlimited.places == 0
