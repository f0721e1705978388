"""What a run has said is there for a day after its end, also where it paused again and again."""

from datetime import timedelta

import pytest

from agentrun.domain.errors import ConflictError, RunNotFoundError
from agentrun.domain.events import ContentDelta, RecordedEvent
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.turns import TurnPaused
from agentrun.service import retention
from agentrun.service.attach import attach
from agentrun.service.continue_run import paused_run
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.unit.core.test_continue_run import APPROVE, CALLS, Desk
from tests.workshop import ANA, read_all

pytestmark = pytest.mark.anyio

DAY_S = timedelta(days=1).total_seconds()
AGAIN: list[Item] = [ContentDelta(text="Again. "), TurnPaused(pending=CALLS[:1], state="later")]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def attached(desk: Desk) -> list[RecordedEvent]:
    follower = await attach(ANA, "echo", desk.key.run_id, cursor=0, ports=desk.runs)
    assert follower is not None
    return [event async for batch in follower.batches(idle_s=60) for event in batch]


async def paused_thrice(desk: Desk) -> list[RecordedEvent]:
    """Let each of three pauses last for nearly a day; gives all that was said."""
    desk.here = desk.launcher(ScriptedEngine(AGAIN, resumed=AGAIN))
    said = await desk.pause()
    for _ in range(2):
        desk.clock.advance(DAY_S - 60)
        said += await read_all(await desk.resume())
    desk.clock.advance(DAY_S - 60)
    desk.here = desk.launcher(desk.engine)
    return said + await read_all(await desk.resume())


async def test_a_run_of_many_pauses_is_replayed_whole_for_a_day_after_its_end(desk: Desk) -> None:
    said = await paused_thrice(desk)
    assert await attached(desk) == said
    desk.clock.advance(DAY_S)
    assert await attached(desk) == said
    desk.clock.advance(1)
    with pytest.raises(RunNotFoundError):
        await attached(desk)


async def test_a_replay_whose_beginning_could_not_be_kept_is_not_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.log.fails("keep")
    monkeypatch.setattr(retention, "PATIENCE_S", 0.001)
    await paused_thrice(desk)
    assert desk.status() is RunStatus.COMPLETED
    with pytest.raises(RunNotFoundError):
        await attached(desk)


async def test_earlier_events_are_kept_once_a_continuation_has_said_start(desk: Desk) -> None:
    calls: list[str] = []

    desk.log.before("keep", lambda *_, **__: calls.append("keep"))
    desk.store.before("begin_continuation", lambda *_, **__: calls.append("begin"))
    await desk.pause()
    assert "keep" not in calls
    calls.clear()
    execution = await desk.resume()
    assert calls == ["begin"]
    await read_all(execution)
    await desk.here.ended(execution)
    assert calls.count("keep") == 1


async def test_a_failure_that_no_retry_mends_costs_the_execution_nothing(desk: Desk) -> None:
    desk.log.fails("keep", error=TypeError("broken"))
    await desk.pause()
    execution = await desk.resume()
    await read_all(execution)
    await desk.here.ended(execution)
    assert desk.status() is RunStatus.COMPLETED
    assert len(desk.ended) == 2


async def test_a_pause_that_is_over_by_the_time_its_checkpoint_is_read_is_a_conflict(
    desk: Desk,
) -> None:
    await desk.pause()
    seen: AgentRun = await paused_run(ANA, "echo", desk.key.run_id, desk.runs)
    await read_all(await desk.resume())
    with pytest.raises(ConflictError):
        await desk.here.resume(ANA, seen, APPROVE, deadline=None)
