"""An executor stops itself, and starts no tool, once its own lease may be over."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from agentrun.domain.errors import MayNotActError
from agentrun.domain.events import ContentDelta, EventType, ToolEnd, ToolStart
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import Lease, RunStatus
from agentrun.service.executing import bounds as bounds_of_executions
from agentrun.service.executing.bounds import (
    DEADLINE_RESERVE,
    Bound,
    ExecutionBounds,
    OwnLease,
)
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.runs import settled_state
from tests.fakes.clock import FixedClock
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, PATIENT, QUICK, StartedRig, read_all
from tests.runs import AT, EXECUTOR, SESSION, a_run

pytestmark = pytest.mark.anyio

FREEZE_S = 20
CALL = ToolStart(id="c", name="order", arguments={})
DONE = ToolEnd(id="c", name="order", result=1)
Freeze = Callable[[FixedClock, float], None]


@pytest.fixture(
    params=[
        pytest.param(FixedClock.set_forward, id="the wall clock alone shows it"),
        pytest.param(FixedClock.pass_unnoticed, id="the wall clock does not show it"),
        pytest.param(FixedClock.advance, id="both clocks show it"),
    ]
)
def freeze(request: pytest.FixtureRequest) -> Freeze:
    found: Freeze = request.param
    return found


def a_lease(clock: FixedClock) -> OwnLease:
    return OwnLease(Lease(executor=EXECUTOR, until=AT + timedelta(seconds=15)), clock)


def end(rig: StartedRig) -> tuple[RunStatus, str | None]:
    return rig.stored.status, rig.stored.error_type


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> StartedRig:
    monkeypatch.setattr(bounds_of_executions, "LOOK_AGAIN_AFTER_S", 0.002)
    return StartedRig()


def test_a_lease_is_over_a_moment_before_a_reader_may_say_so(freeze: Freeze) -> None:
    clock = FixedClock(AT)
    lease = a_lease(clock)
    freeze(clock, 13.9)
    assert lease.left_s > 0
    freeze(clock, 0.2)
    assert lease.left_s <= 0


def test_a_lease_counts_from_the_moment_before_its_write_was_sent(freeze: Freeze) -> None:
    clock = FixedClock(AT)
    lease = a_lease(clock)
    sent = lease.moment()
    freeze(clock, FREEZE_S)
    lease.renewed(sent)
    assert lease.left_s <= 0
    lease.renewed(lease.moment())
    assert lease.left_s > 0


def test_a_new_runs_lease_counts_from_the_write_that_has_stored_it() -> None:
    clock = FixedClock(AT + timedelta(seconds=10))
    lease = a_lease(clock)
    clock.pass_unnoticed(4)
    assert lease.left_s <= 0


async def test_no_tool_begins_once_the_execution_is_to_end() -> None:
    async def end() -> None:
        return

    def stopped(bounds: ExecutionBounds) -> None:
        bounds.stop()

    def ending(bounds: ExecutionBounds) -> None:
        bounds.close()

    def past_the_deadline(bounds: ExecutionBounds) -> None:
        bounds.begin(deadline=AT + DEADLINE_RESERVE)

    heard = asyncio.create_task(end())
    await heard
    for change in (stopped, ending, past_the_deadline, lambda bounds: bounds.watch(heard)):
        clock = FixedClock(AT)
        bounds = ExecutionBounds(a_lease(clock), clock)
        bounds.before_tool()
        change(bounds)
        with pytest.raises(MayNotActError):
            bounds.before_tool()
    assert bounds.reached() is None
    clock.advance(FREEZE_S)
    assert bounds.reached() is Bound.LEASE


async def test_no_tool_begins_after_a_thaw(rig: StartedRig, freeze: Freeze) -> None:
    """Nothing runs between the thaw and the tool: the executor has heard nothing yet."""

    async def thaw() -> None:
        freeze(rig.clock, FREEZE_S)

    engine = ScriptedEngine([ContentDelta(text="so far"), thaw, CALL, DONE])
    await rig.run(engine)
    assert engine.begun == []
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert end(rig) == (RunStatus.FAILED, "STORE_UNAVAILABLE")


async def test_an_executor_that_was_declared_dead_tells_that_end(
    rig: StartedRig, freeze: Freeze
) -> None:
    async def thaw() -> None:
        freeze(rig.clock, FREEZE_S)
        rig.store.expire(rig.store.get(a_run().key), at=rig.clock.now())

    engine = ScriptedEngine([ContentDelta(text="so far"), thaw, CALL, DONE])
    await rig.run(engine)
    assert engine.begun == []
    assert rig.types == ["START", "CONTENT_DELTA", "ERROR"]
    assert end(rig) == (RunStatus.FAILED, "LEASE_EXPIRED")


async def test_an_executor_whose_heartbeat_hangs_stops_its_engine(
    rig: StartedRig, freeze: Freeze
) -> None:
    released, hanging = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(*_: Any, **__: Any) -> None:
        loop.call_soon_threadsafe(hanging.set)
        assert released.wait(10)

    async def pass_the_time() -> None:
        await hanging.wait()
        freeze(rig.clock, FREEZE_S)
        try:
            await asyncio.Event().wait()
        finally:
            released.set()

    rig.store.before("heartbeat", hang)
    engine = ScriptedEngine([CALL, pass_the_time, DONE])
    await rig.run(engine, pace=QUICK)
    assert engine.cancelled == 1
    assert end(rig) == (RunStatus.FAILED, "STORE_UNAVAILABLE")


async def test_a_lease_that_is_renewed_in_time_changes_nothing(
    rig: StartedRig, freeze: Freeze
) -> None:
    loop = asyncio.get_running_loop()
    beats: asyncio.Queue[None] = asyncio.Queue()

    async def pass_some_time() -> None:
        freeze(rig.clock, 10)
        while not beats.empty():
            beats.get_nowait()
        # One may have been under way; of the second one the recorder has heard by the third.
        for _ in range(3):
            await beats.get()

    rig.store.after("heartbeat", lambda *_, **__: loop.call_soon_threadsafe(beats.put_nowait, None))
    engine = ScriptedEngine([pass_some_time, pass_some_time, pass_some_time, CALL, DONE])
    await rig.run(engine, pace=QUICK)
    assert engine.begun == ["c"]
    assert rig.types[-1] == EventType.STOP
    assert end(rig) == (RunStatus.COMPLETED, None)


async def test_of_two_executions_in_one_session_the_first_starts_no_tool(rig: StartedRig) -> None:
    """The first one cannot reach the store; the second begins once the first's lease is over."""
    gate = asyncio.Event()
    first_engine = ScriptedEngine([ContentDelta(text="a"), gate, CALL, DONE])
    second_engine = ScriptedEngine([CALL, DONE])
    request = RunRequest(message="hello", session_id=UUID(SESSION))
    rig.store.release(a_run())
    rig.store.fails("heartbeat", when=lambda key, *_, **__: key.run_id == "id-1")
    launcher = rig.launcher(first_engine)
    first = await launcher.begin(ANA, "echo", request, deadline=None)
    assert isinstance(first, RunExecution)
    assert first.run.id == "id-1"
    await read_all(first, lambda event: event.event.event is EventType.CONTENT_DELTA)
    rig.clock.advance(17.1)
    other = rig.launcher(second_engine, PATIENT)
    second = await other.begin(ANA, "echo", request, deadline=None)
    assert isinstance(second, RunExecution)
    gate.set()
    await asyncio.gather(launcher.ended(first), read_all(second), other.ended(second))
    assert (first_engine.begun, second_engine.begun) == ([], ["c"])
    assert settled_state(first.run.key, rig.runs).error_type == "LEASE_EXPIRED"
    assert settled_state(second.run.key, rig.runs).status is RunStatus.COMPLETED
