"""What a run has said is there for a day after its end, also where it paused again and again."""

from datetime import timedelta

import pytest

from agentrun.domain.errors import ConflictError, RunNotFoundError
from agentrun.domain.events import ContentDelta, RecordedEvent
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing import ending
from agentrun.service.reading.follow import attach
from agentrun.service.starting.continue_run import paused_run
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.rig import ANA, read_all
from tests.unit.core.service.pause_rig import APPROVE, CALLS, PauseRig

pytestmark = pytest.mark.anyio

DAY_S = timedelta(days=1).total_seconds()
AGAIN: list[Item] = [ContentDelta(text="Again. "), TurnPaused(pending=CALLS[:1], state="later")]


@pytest.fixture
async def rig() -> PauseRig:
    return PauseRig()


async def attached(rig: PauseRig) -> list[RecordedEvent]:
    follower = await attach(ANA, "echo", rig.key.run_id, cursor=0, ports=rig.runs)
    assert follower is not None
    return await read_all(follower)


async def paused_thrice(rig: PauseRig) -> list[RecordedEvent]:
    """Let each of three pauses last for nearly a day; gives all that was said."""
    rig.here = rig.launcher(ScriptedEngine(AGAIN, resumed=AGAIN))
    said = await rig.pause()
    for _ in range(2):
        rig.clock.advance(DAY_S - 60)
        said += await read_all(await rig.resume())
    rig.clock.advance(DAY_S - 60)
    rig.here = rig.launcher(rig.engine)
    return said + await read_all(await rig.resume())


async def test_a_run_of_many_pauses_is_replayed_whole_for_a_day_after_its_end(
    rig: PauseRig,
) -> None:
    said = await paused_thrice(rig)
    assert await attached(rig) == said
    rig.clock.advance(DAY_S)
    assert await attached(rig) == said
    rig.clock.advance(1)
    with pytest.raises(RunNotFoundError):
        await attached(rig)


async def test_a_replay_whose_beginning_could_not_be_kept_is_not_found(
    rig: PauseRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.log.fails("keep")
    monkeypatch.setattr(ending, "KEEP_PATIENCE_S", 0.001)
    await paused_thrice(rig)
    assert rig.status() is RunStatus.COMPLETED
    with pytest.raises(RunNotFoundError):
        await attached(rig)


async def test_earlier_events_are_kept_once_a_continuation_has_said_start(rig: PauseRig) -> None:
    calls: list[str] = []

    rig.log.before("keep", lambda *_, **__: calls.append("keep"))
    rig.store.before("begin_continuation", lambda *_, **__: calls.append("begin"))
    await rig.pause()
    assert "keep" not in calls
    calls.clear()
    execution = await rig.resume()
    assert calls == ["begin"]
    await read_all(execution)
    await rig.here.ended(execution)
    assert calls.count("keep") == 1


async def test_a_failure_that_no_retry_mends_costs_the_execution_nothing(rig: PauseRig) -> None:
    rig.log.fails("keep", error=TypeError("broken"))
    await rig.pause()
    execution = await rig.resume()
    await read_all(execution)
    await rig.here.ended(execution)
    assert rig.status() is RunStatus.COMPLETED
    assert len(rig.ended) == 2


async def test_a_pause_that_is_over_by_the_time_its_checkpoint_is_read_is_a_conflict(
    rig: PauseRig,
) -> None:
    await rig.pause()
    seen: AgentRun = await paused_run(ANA, "echo", rig.key.run_id, rig.runs)
    await read_all(await rig.resume())
    with pytest.raises(ConflictError):
        await rig.here.resume(ANA, seen, APPROVE, deadline=None)
