"""Places of readers: taken by those of runs under way alone, freed however they leave."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import JsonValue

from agentrun.domain.endings import LEASE_GRACE_S
from agentrun.domain.errors import TooManyRunsError
from agentrun.domain.events import ContentDelta, EventType
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Lease
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading import follow as attaching
from agentrun.service.reading.follow import RunFollower
from agentrun.service.reading.places import LONGEST_READING
from agentrun.service.reading.result import RunStream
from agentrun.service.starting.start_run import Idempotency, Reader
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, Rig, read_all, types
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, paused

pytestmark = pytest.mark.anyio

BODY: dict[str, JsonValue] = {"message": "hello"}
REQUEST = RunRequest(message="hello")
KEY = Idempotency(key="again", body={})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "SHORTEST_PAUSE_S", 0.001)
    monkeypatch.setattr(attaching, "LONGEST_PAUSE_S", 0.002)


class ReadersRig(Rig):
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
def rig() -> ReadersRig:
    return ReadersRig()


async def test_a_reader_too_many_is_refused_and_told_when_to_come_again(rig: ReadersRig) -> None:
    run = rig.start()
    await rig.read(run)
    await rig.read(run)
    with pytest.raises(TooManyRunsError, match="may have at most 2 readers") as refused:
        await rig.read(run)
    assert refused.value.retry_after_s == 5
    assert rig.places == 2


async def test_a_reader_that_has_read_to_the_end_has_left(rig: ReadersRig) -> None:
    run = rig.start()
    readers = [await rig.read(run), await rig.read(run)]
    rig.store.finish(run.key, EXECUTOR, completed(last_event_id=5), at=AT)
    for reader in readers:
        async for _ in reader.batches(idle_s=60):
            assert rig.places > 0
    assert rig.places == 0


async def test_a_reader_that_gives_up_has_left(rig: ReadersRig) -> None:
    run = rig.start()
    batches = (await rig.read(run)).batches(idle_s=60)
    await anext(batches)
    assert rig.places == 1
    await batches.aclose()
    assert rig.places == 0


async def test_a_reader_that_is_cut_off_while_it_waits_has_left(rig: ReadersRig) -> None:
    reader, begun = await rig.read(rig.start()), asyncio.Event()

    async def read() -> None:
        async for _ in reader.batches(idle_s=60):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    # The one thread of the store has done what was asked of it before.
    await asyncio.get_running_loop().run_in_executor(rig.runs.threads, lambda: None)
    assert rig.places == 0


async def test_what_is_read_in_a_moment_takes_no_place(rig: ReadersRig) -> None:
    ended, waiting = rig.start("ended"), rig.start("waiting")
    rig.store.finish(ended.key, EXECUTOR, completed(last_event_id=5), at=AT)
    rig.store.finish(waiting.key, EXECUTOR, paused(), at=AT)
    for run in (ended, waiting):
        for _ in range(5):
            await rig.read(run)
    assert rig.places == 0


async def test_places_whose_runs_have_ended_are_anothers(rig: ReadersRig) -> None:
    """Their readers were killed: nobody has freed them."""
    dead, alive = rig.start("dead"), rig.start("alive")
    await rig.read(dead)
    await rig.read(alive)
    rig.store.finish(dead.key, EXECUTOR, completed(last_event_id=5), at=AT)
    await rig.read(alive)
    assert {place.run_id for place in rig.readers.held} == {"alive"}
    with pytest.raises(TooManyRunsError):
        await rig.read(alive)


async def test_places_of_runs_whose_process_died_are_anothers(rig: ReadersRig) -> None:
    dead = rig.start("dead")
    await rig.read(dead)
    await rig.read(dead)
    lease = Lease(executor=EXECUTOR, until=AT + timedelta(hours=1))
    alive = rig.start("alive", lease=lease)
    rig.clock.advance(15 + LEASE_GRACE_S + 1)
    await rig.read(alive)
    assert {place.run_id for place in rig.readers.held} == {"alive"}


async def test_a_place_is_free_when_its_process_has_been_stopped(rig: ReadersRig) -> None:
    run = rig.start(lease=Lease(executor=EXECUTOR, until=AT + timedelta(hours=1)))
    until = AT + timedelta(minutes=2)
    for deadline in (until, None):
        await rig.here.admit(rig.follower(run), deadline=deadline)
    assert {place.until for place in rig.readers.held} == {until, AT + LONGEST_READING}
    rig.clock.advance(121)
    await rig.read(run)
    with pytest.raises(TooManyRunsError):
        await rig.read(run)


async def test_readers_of_another_users_runs_are_not_in_the_way(rig: ReadersRig) -> None:
    hers, his = rig.start("hers"), rig.start("his", user_id="bob")
    for run in (hers, hers, his, his):
        await rig.read(run)
    with pytest.raises(TooManyRunsError):
        await rig.read(his)


async def test_an_administrator_counts_where_they_read(rig: ReadersRig) -> None:
    """One backend may read for everybody."""
    admin = Principal(tenant="acme", user_id="admin", roles=frozenset({"admin"}))
    for run in (rig.start("hers"), rig.start("his", user_id="bob")):
        for _ in range(2):
            follower = await attaching.attach(admin, "echo", run.id, cursor=0, ports=rig.runs)
            assert follower is not None
            await rig.here.admit(follower, deadline=None)
    assert rig.places == 4


async def test_a_request_that_is_repeated_meanwhile_takes_a_place(rig: ReadersRig) -> None:
    first = await rig.begin(idempotency=KEY)
    assert isinstance(first, RunExecution)
    assert rig.places == 0
    again = [await rig.begin(idempotency=KEY) for _ in range(2)]
    with pytest.raises(TooManyRunsError, match="readers"):
        await rig.begin(idempotency=KEY)
    rig.gate.set()
    assert types(await read_all(first))[-1] is EventType.STOP
    for reader in again:
        assert [batch async for batch in reader.batches(idle_s=60)]
    assert rig.places == 0


async def test_a_reader_that_posts_again_takes_a_place(rig: ReadersRig) -> None:
    first = await rig.begin(reader=Reader(body=BODY))
    assert isinstance(first, RunExecution)
    again = Reader(body=BODY, cursor=1)
    for _ in range(2):
        assert isinstance(await rig.begin(reader=again), RunFollower)
    with pytest.raises(TooManyRunsError, match="readers"):
        await rig.begin(reader=again)
    rig.gate.set()
    await read_all(first)
    assert len(rig.store.runs) == 1


async def test_no_limit_costs_nothing(rig: ReadersRig) -> None:
    unlimited = ReadersRig(max_readers=0)
    run = unlimited.start()
    for _ in range(9):
        await unlimited.read(run)
    assert unlimited.places == 0
