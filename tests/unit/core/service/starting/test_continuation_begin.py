"""How a continuation begins: in its run's header, or not at all; and never after a cancel."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import ConflictError, StoreUnavailableError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import RunStatus
from agentrun.service.executing import execution as run_execution
from agentrun.service.executing.execution import RunExecution
from agentrun.service.ports import invocation_kept
from agentrun.service.reading import follow as attaching
from agentrun.service.reading.follow import RunFollower
from agentrun.service.reading.runs import settled_state
from agentrun.service.starting import session_queue
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, PATIENT, read_all, types
from tests.unit.core.service.pause_rig import AFTER, BEFORE, REQUEST, PauseRig

pytestmark = pytest.mark.anyio

WRITES_OF_THE_HEADER = ("heartbeat", "begin_continuation", "restore_pause", "finish")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_execution, "BEGIN_PATIENCE", timedelta(seconds=0.01))
    monkeypatch.setattr(attaching, "SHORTEST_PAUSE_S", 0.001)
    monkeypatch.setattr(attaching, "LONGEST_PAUSE_S", 0.002)


@pytest.fixture
async def rig() -> PauseRig:
    return PauseRig()


async def fail_to_resume(rig: PauseRig) -> None:
    """Continue the run while no write of its header succeeds."""
    rig.store.fails(*WRITES_OF_THE_HEADER)
    with pytest.raises(StoreUnavailableError):
        await rig.resume()
    rig.store.works()


async def test_a_continuation_that_could_not_write_its_header_has_not_begun(rig: PauseRig) -> None:
    before = await rig.pause()
    await fail_to_resume(rig)
    rig.clock.advance(18)
    assert settled_state(rig.key, rig.runs).status is RunStatus.PAUSED
    assert len(rig.engine.tasks) == 1
    after = await read_all(await rig.resume())
    assert await rig.replay() == before + after


async def test_a_follower_of_a_continuation_that_did_not_begin_is_told_its_end(
    rig: PauseRig,
) -> None:
    before = await rig.pause()
    await fail_to_resume(rig)
    read: list[RecordedEvent] = []

    async def follow() -> None:
        async for batch in RunFollower(rig.run, before[-1].id, rig.runs).batches(idle_s=60):
            read.extend(batch)

    following = asyncio.create_task(follow())
    rig.clock.advance(18)
    await following
    follower = RunFollower(rig.run, before[-1].id, rig.runs)
    assert follower.has_nothing_left
    assert read == []


async def test_a_continuation_that_began_and_stored_nothing_else_has_failed(rig: PauseRig) -> None:
    rig.here = rig.launcher(ScriptedEngine(BEFORE, resumed=[asyncio.Event(), *AFTER]), PATIENT)
    before = await rig.pause()
    await rig.resume()
    rig.clock.advance(18)
    state = settled_state(rig.key, rig.runs)
    assert (state.status, state.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    replay = await rig.replay()
    assert replay[:-1] == before
    assert (types(replay[-1:]), replay[-1].id) == (["ERROR"], before[-1].id + 1_000_000)


async def test_a_pause_is_shown_although_nothing_of_its_continuation_is_stored(
    rig: PauseRig,
) -> None:
    rig.here = rig.launcher(ScriptedEngine(BEFORE, resumed=[asyncio.Event()]), PATIENT)
    before = await rig.pause()
    await rig.resume()
    read: list[RecordedEvent] = []
    async for batch in RunFollower(rig.run, 0, rig.runs).batches(idle_s=0):
        if not batch:
            break
        read += batch
    assert read == before


async def test_a_cancel_before_a_continuation_begins_lets_no_tool_run(rig: PauseRig) -> None:
    before = await rig.pause()
    rig.store.after("resume", rig.cancel, times=1)
    after = await read_all(await rig.resume())
    assert types(after) == ["START", "METRICS", "CANCELLED"]
    assert len(rig.engine.tasks) == 1
    assert (rig.status(), rig.run.output) == (RunStatus.CANCELLED, "Asking. ")
    assert await rig.replay() == before + after


async def test_a_cancel_during_the_repair_of_a_continuation_is_not_lost(rig: PauseRig) -> None:
    await rig.pause()
    await fail_to_resume(rig)
    rig.clock.advance(18)
    rig.store.before("expire", rig.cancel, times=1)
    with pytest.raises(ConflictError):
        await rig.resume()
    assert rig.status() is RunStatus.CANCELLED
    assert len(rig.engine.tasks) == 1


async def test_a_cancel_before_the_session_is_known_to_be_taken_lets_no_engine_run(
    rig: PauseRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_queue, "LOOK_AT_LOCK_EVERY_S", 0.001)
    gate = asyncio.Event()
    first = await rig.launcher(ScriptedEngine([gate])).begin(ANA, "echo", REQUEST, deadline=None)
    policy = SessionPolicy.ENQUEUE
    # No heartbeat brings it back.
    here = rig.launcher(rig.engine, PATIENT)
    queued = await here.begin(ANA, "echo", REQUEST, policy=policy, deadline=None)

    def lose_the_reply(*_: Any, **__: Any) -> None:
        rig.store.request_cancel(queued.run.key, at=rig.clock.now())
        raise StoreUnavailableError("the reply is lost")

    rig.store.after("begin_queued", lose_the_reply, times=1)
    gate.set()
    assert isinstance(first, RunExecution)
    assert isinstance(queued, RunExecution)
    await read_all(first)
    assert types(await read_all(queued)) == ["START", "METRICS", "CANCELLED"]
    assert rig.engine.tasks == []


async def test_a_cancel_before_a_pause_is_restored_is_not_lost(rig: PauseRig) -> None:
    await rig.pause()
    rig.store.fails("heartbeat", "begin_continuation")
    rig.store.before("restore_pause", rig.cancel, times=1)
    with pytest.raises(StoreUnavailableError):
        await rig.resume()
    rig.store.works()
    with pytest.raises(ConflictError):
        await rig.resume()
    assert settled_state(rig.key, rig.runs).status is RunStatus.CANCELLED


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_a_continuation_that_cannot_begin_for_whatever_reason_is_paused_again(
    rig: PauseRig, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    await rig.pause()

    async def fail(*_args: Any, **_kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(RunExecution, "begin_again", fail)
    with pytest.raises(type(error)):
        await rig.resume()
    assert rig.status() is RunStatus.PAUSED


async def test_a_pause_is_restored_once_the_store_is_back_and_the_invocation_kept_for_that(
    rig: PauseRig,
) -> None:
    await rig.pause()
    rig.store.fails(*WRITES_OF_THE_HEADER)
    async with invocation_kept():
        with pytest.raises(StoreUnavailableError):
            await rig.resume()
        assert rig.status() is RunStatus.RUNNING
        rig.store.works()
    assert (rig.status(), rig.run.last_event_id) == (RunStatus.PAUSED, 4)
    await read_all(await rig.resume())
    assert rig.status() == RunStatus.COMPLETED
