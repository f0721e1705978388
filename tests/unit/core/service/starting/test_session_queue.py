"""One run at a time in a session: reject, enqueue, interrupt."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from agentrun.domain.conversations import MAX_QUEUED, SessionLock, SessionPolicy
from agentrun.domain.errors import ConflictError, TooManyRunsError
from agentrun.domain.events import ContentDelta, EventType
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.executing.execution import RunExecution
from agentrun.service.launcher import RunLauncher
from agentrun.service.starting import session_queue
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, Rig, read_all, types
from tests.runs import SESSION, a_queued_run

pytestmark = pytest.mark.anyio

REQUEST = RunRequest(message="hello", session_id=UUID(SESSION))


class SessionRig(Rig):
    """A session in which a run is under way, until its gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.engine = ScriptedEngine([ContentDelta(text="a"), self.gate, ContentDelta(text="b")])
        self.running: RunLauncher = self.launcher(self.engine)

    async def begin(self, policy: SessionPolicy = SessionPolicy.REJECT) -> RunExecution:
        stream = await self.running.begin(ANA, "echo", REQUEST, policy=policy, deadline=None)
        assert isinstance(stream, RunExecution)
        return stream

    def status(self, execution: RunExecution) -> RunStatus:
        return self.store.get(execution.run.key).status

    def fill_queue(self, active: str) -> tuple[str, ...]:
        """Let as many runs wait as may."""
        waiting = tuple(f"waiting-{number}" for number in range(MAX_QUEUED))
        for run_id in waiting:
            run = a_queued_run(run_id)
            self.store.runs[run.key] = run
        lock = SessionLock(active=active, active_by=self.lock.active_by, queue=waiting)
        self.store.sessions["acme", SESSION].lock = lock
        return waiting

    @property
    def lock(self) -> SessionLock:
        return self.conversations.lock("acme", SESSION)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> SessionRig:
    monkeypatch.setattr(session_queue, "LOOK_AT_LOCK_EVERY_S", 0.002)
    return SessionRig()


async def test_a_second_run_is_refused_while_the_first_one_runs(rig: SessionRig) -> None:
    first = await rig.begin()
    with pytest.raises(ConflictError, match=first.run.id):
        await rig.begin()
    rig.gate.set()
    await read_all(first)
    second = await rig.begin()
    await read_all(second)
    assert rig.status(second) is RunStatus.COMPLETED
    assert rig.lock == SessionLock()


async def test_a_refused_run_leaves_nothing_behind(rig: SessionRig) -> None:
    first = await rig.begin()
    with pytest.raises(ConflictError):
        await rig.begin()
    assert set(rig.store.runs) == {first.run.key}
    rig.gate.set()
    await read_all(first)


async def test_a_queued_run_says_start_and_waits_for_its_turn(rig: SessionRig) -> None:
    first = await rig.begin()
    second = await rig.begin(SessionPolicy.ENQUEUE)
    assert rig.status(second) is RunStatus.QUEUED
    head = await read_all(second, lambda event: event.event.event is EventType.START)
    assert types(head) == ["START"]
    assert len(rig.engine.tasks) == 1
    rig.gate.set()
    await asyncio.gather(read_all(first), rig.running.ended(second))
    run = rig.store.get(second.run.key)
    assert (run.status, run.output) == (RunStatus.COMPLETED, "ab")
    assert [turn.output for turn in rig.engine.tasks[1].history] == ["ab"]


async def test_queued_runs_go_in_the_order_in_which_they_came(rig: SessionRig) -> None:
    executions = [await rig.begin()]
    executions += [await rig.begin(SessionPolicy.ENQUEUE) for _ in range(3)]
    assert rig.lock.queue == tuple(execution.run.id for execution in executions[1:])
    rig.gate.set()
    await asyncio.gather(*(read_all(execution) for execution in executions))
    assert [task.run_id for task in rig.engine.tasks] == [e.run.id for e in executions]
    assert rig.lock == SessionLock()


async def test_an_interrupting_run_cancels_the_one_before_it(rig: SessionRig) -> None:
    first = await rig.begin()
    second = await rig.begin(SessionPolicy.INTERRUPT)
    first_events = await read_all(first)
    rig.gate.set()
    await read_all(second)
    assert types(first_events)[-1] == "CANCELLED"
    assert (rig.status(first), rig.status(second)) == (RunStatus.CANCELLED, RunStatus.COMPLETED)
    past = rig.engine.tasks[1].history
    assert [(turn.output, turn.is_whole) for turn in past] == [("a", False)]


async def test_a_queued_run_that_is_cancelled_says_so_and_never_runs(rig: SessionRig) -> None:
    first = await rig.begin()
    second = await rig.begin(SessionPolicy.ENQUEUE)
    third = await rig.begin(SessionPolicy.ENQUEUE)
    rig.store.request_cancel(second.run.key, at=rig.clock.now())
    assert rig.status(second) is RunStatus.CANCELLED
    assert types(await read_all(second)) == ["START", "CANCELLED"]
    assert rig.lock.queue == (third.run.id,)
    rig.gate.set()
    await asyncio.gather(read_all(first), read_all(third))
    assert rig.status(third) is RunStatus.COMPLETED
    assert second.run.id not in [task.run_id for task in rig.engine.tasks]


async def test_a_session_whose_run_has_died_is_taken_over(rig: SessionRig) -> None:
    dead = await rig.begin()
    rig.gate.set()
    await read_all(dead)
    lost = rig.store.get(dead.run.key).model_copy(update={"status": RunStatus.RUNNING})
    rig.store.runs[lost.key] = lost
    rig.store.sessions["acme", SESSION].lock = SessionLock(active=lost.id, queue=("gone",))
    rig.clock.advance(60)
    await read_all(await rig.begin())
    key = RunKey(tenant="acme", run_id=lost.id)
    assert rig.store.get(key).error_type == "LEASE_EXPIRED"


@pytest.mark.parametrize("policy", [SessionPolicy.ENQUEUE, SessionPolicy.INTERRUPT])
async def test_a_run_that_finds_the_queue_full_is_told_to_come_back(
    rig: SessionRig, policy: SessionPolicy
) -> None:
    first = await rig.begin()
    waiting = rig.fill_queue(first.run.id)
    known = set(rig.store.runs)
    with pytest.raises(TooManyRunsError, match=f"At most {MAX_QUEUED} runs may wait") as refused:
        await rig.begin(policy)
    assert refused.value.retry_after_s > 0
    assert rig.lock.queue == waiting
    assert set(rig.store.runs) == known
    rig.gate.set()
    await read_all(first)
    assert rig.status(first) is RunStatus.COMPLETED


async def test_a_queue_that_fills_up_meanwhile_refuses_too(rig: SessionRig) -> None:
    first = await rig.begin()

    def be_faster(run: AgentRun, *_: Any, **__: Any) -> None:
        if run.status is RunStatus.QUEUED:
            rig.fill_queue(first.run.id)

    rig.store.before("start", be_faster)
    with pytest.raises(TooManyRunsError, match=f"At most {MAX_QUEUED} runs may wait"):
        await rig.begin(SessionPolicy.ENQUEUE)
    rig.gate.set()
    await read_all(first)
