"""What the log has, the live reader gets, also where its executor could not learn that it is so."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.errors import RunNotFoundError, StoreUnavailableError
from agentrun.domain.events import ContentDelta, Metrics, PendingApproval, RecordedEvent
from agentrun.domain.ports import AgentEngine
from agentrun.domain.runs import RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing import ending
from agentrun.service.executing import execution as run_execution
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.follow import attach
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, QUICK, StartedRig, read_all, types
from tests.runs import EXECUTOR, a_run

pytestmark = pytest.mark.anyio

KEY = a_run().key
CALLS = (PendingApproval(id="c1", tool="t", tool_name="order", arguments={"n": 1}),)
PAUSE = (ContentDelta(text="a"), Metrics(total_tokens=3), TurnPaused(pending=CALLS, state="{}"))
PAUSED = ["START", "CONTENT_DELTA", "METRICS", "PAUSED"]
APPROVE = ContinueRequest(action=ApprovalAction.APPROVE)


class LostEndRig(StartedRig):
    """The reply to the commit of a run's end is lost, and then something happens."""

    def lose_the_reply_of_the_end(self, then: Callable[[], object]) -> None:
        """Apply the next end without saying so, and let `then` happen before the next try."""

        def lose(*_: Any, **__: Any) -> None:
            then()
            raise StoreUnavailableError("the reply was lost")

        self.store.after("finish", lose, times=1)

    async def live(self, engine: AgentEngine) -> list[RecordedEvent]:
        await self.run(engine, QUICK)
        return self.streamed

    async def replayed(self) -> list[RecordedEvent]:
        follower = await attach(ANA, "echo", KEY.run_id, cursor=0, ports=self.runs)
        assert follower is not None
        return await read_all(follower)

    def cancel(self) -> None:
        self.store.request_cancel(KEY, at=self.clock.now())

    def delete(self) -> None:
        del self.store.runs[KEY]
        self.log.segments.clear()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> LostEndRig:
    monkeypatch.setattr(ending, "READ_AGAIN_AFTER_S", 0.002)
    return LostEndRig()


async def test_a_pause_that_was_cancelled_is_told_as_it_is_replayed(rig: LostEndRig) -> None:
    rig.lose_the_reply_of_the_end(rig.cancel)
    live = await rig.live(ScriptedEngine(PAUSE))
    assert types(live) == [*PAUSED, "CANCELLED"]
    assert live == await rig.replayed()
    assert rig.store.get(KEY).status is RunStatus.CANCELLED


async def test_the_store_may_be_away_meanwhile(rig: LostEndRig) -> None:
    fails = [1, 1, 1, 1]

    def sometimes(*_: Any, **__: Any) -> None:
        if fails:
            fails.pop()
            if len(fails) % 2:
                raise StoreUnavailableError("away")

    rig.store.before("get_state", sometimes)
    rig.log.before("read", sometimes)
    rig.lose_the_reply_of_the_end(rig.cancel)
    live = await rig.live(ScriptedEngine(PAUSE))
    assert not fails
    assert live == await rig.replayed()


async def test_a_store_that_stays_away_breaks_the_stream_off(
    rig: LostEndRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_execution, "TELL_PATIENCE", run_execution.TELL_PATIENCE * 0)

    rig.store.fails("get_state")
    rig.lose_the_reply_of_the_end(rig.cancel)
    assert types(await rig.live(ScriptedEngine(PAUSE))) == ["START", "CONTENT_DELTA"]


@pytest.mark.parametrize("script", [PAUSE, PAUSE[:2]], ids=["paused", "completed"])
async def test_a_deleted_run_has_nothing_more_to_tell(rig: LostEndRig, script: Any) -> None:
    rig.lose_the_reply_of_the_end(rig.delete)
    assert types(await rig.live(ScriptedEngine(script))) == ["START", "CONTENT_DELTA"]


async def test_a_run_that_is_deleted_while_its_end_is_read_did_not_fail(rig: LostEndRig) -> None:
    """Its header says COMPLETED, and its log is gone by the time it is read."""
    rig.store.after("get_state", lambda _: rig.delete())

    def taken_over() -> None:
        run = rig.store.runs[KEY]
        assert run.lease is not None
        other = run.lease.model_copy(update={"executor": "another"})
        rig.store.runs[KEY] = run.model_copy(update={"lease": other})

    rig.lose_the_reply_of_the_end(taken_over)
    live = await rig.live(ScriptedEngine(PAUSE[:2]))
    assert types(live) == ["START", "CONTENT_DELTA"]


@pytest.mark.parametrize("again", [False, True], ids=["runs", "is paused again"])
async def test_a_pause_that_somebody_continued_is_told_and_no_more(
    rig: LostEndRig, again: bool
) -> None:
    """The continuation is its own reader's."""
    gate, lost = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    may_try_again = asyncio.Event()

    def lose(*_: Any, **__: Any) -> None:
        loop.call_soon_threadsafe(lost.set)
        raise StoreUnavailableError("the reply was lost")

    rig.store.after("finish", lose, times=1)
    rig.store.fails(
        "finish",
        when=lambda _, executor, *__, **___: (
            executor == EXECUTOR and lost.is_set() and not may_try_again.is_set()
        ),
    )
    execution = rig.execution(ScriptedEngine(PAUSE), pace=QUICK)
    executing = asyncio.create_task(execution.execute())
    await lost.wait()
    resumed = PAUSE if again else (ContentDelta(text="b"), gate)
    other = rig.launcher(ScriptedEngine(PAUSE, resumed=resumed))
    paused = rig.store.get_state(KEY)
    continuation = await other.resume(ANA, paused, APPROVE, deadline=None)
    assert isinstance(continuation, RunExecution)
    if again:
        await other.ended(continuation)
    may_try_again.set()
    live = await read_all(execution)
    await executing
    assert types(live) == PAUSED
    gate.set()
    await other.ended(continuation)
    assert live == (await rig.replayed())[: len(PAUSED)]


async def test_a_reader_that_has_gone_is_told_nothing(rig: LostEndRig) -> None:
    asked = rig.log.fails("read", error=RunNotFoundError(KEY.run_id))
    rig.lose_the_reply_of_the_end(rig.cancel)
    execution = rig.execution(ScriptedEngine(PAUSE), pace=QUICK)
    execution.detach()
    await execution.execute()
    assert asked.hits == 0
