"""A run outlives its executor: another one goes on from its last step."""

import asyncio
from base64 import b64decode, b64encode
from datetime import timedelta

import pytest

from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.endings import LEASE_EXPIRED
from agentrun.domain.errors import (
    CannotResumeError,
    EngineError,
    StoreUnavailableError,
    TooManyRunsError,
)
from agentrun.domain.events import (
    ContentDelta,
    EventType,
    Metrics,
    PauseType,
    ResetReason,
    StepReset,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.media import LoadedMedia
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import EVENT_ID_GAP, RunKey, RunStatus
from agentrun.domain.steps import Answered, Returned
from agentrun.domain.turns import TurnPaused
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.runs import cancel_run, get_run
from agentrun.service.starting.continue_run import paused_run
from tests.fakes.scripted_engine import Item, Keep
from tests.rig import ANA, PATIENT, read_all, types
from tests.unit.core.service.lost_rig import LAPSED_S, LostRig, ids_of
from tests.unit.core.service.pause_rig import APPROVE, CALLS

pytestmark = pytest.mark.anyio

PNG = {"type": "image/png", "data": b64encode(b"\x89PNG\r\n\x1a\n").decode()}
CALL = ToolStart(id="c1", name="order", arguments={})
DONE = Keep(Returned(call_id="c1", part="r"), say=ToolEnd(id="c1", name="order", result=1))


class Script:
    """Says something, calls a tool, and waits before, in or after it until `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()

    async def _wait(self) -> None:
        self.reached.set()
        await self.gate.wait()

    def waiting_in_tool(self, *, acting: tuple[str, ...] = ()) -> list[Item]:
        return [
            ContentDelta(text="think "),
            Metrics(total_tokens=5),
            Keep(Answered(message="m", acting=acting)),
            CALL,
            self._wait,
            DONE,
            ContentDelta(text="done"),
            Metrics(total_tokens=9),
        ]

    def waiting_in_answer(self) -> list[Item]:
        return [ContentDelta(text="half "), self._wait, ContentDelta(text="whole")]


async def lose(rig: LostRig, script: Script) -> RunKey:
    """Begin a run, and kill its process where the script waits."""
    execution = await rig.begin()
    await asyncio.wait_for(script.reached.wait(), 5)
    await rig.until(lambda: len(rig.logged(execution.run.key)) == execution.last_event_id)
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    script.gate.set()
    return execution.run.key


async def test_an_attach_goes_on_from_the_last_step() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool())
    key = await lose(rig, script)
    events = await rig.attached(key)
    assert types(events) == [
        *("START", "CONTENT_DELTA", "TOOL_START"),
        *("START", "STEP_RESET", "TOOL_START", "TOOL_END", "CONTENT_DELTA", "METRICS", "STOP"),
    ]
    start = 3 + EVENT_ID_GAP
    assert [event.id for event in events] == [1, 2, 3, *range(start, start + 7)]
    reset = StepReset(to_event_id=2, attempt=2, reason=ResetReason.EXECUTOR_LOST)
    assert events[4].event == reset
    run = rig.state(key)
    assert (run.status, run.attempt, run.output) == (RunStatus.COMPLETED, 2, "think done")
    assert run.total_tokens == 14
    assert rig.engine.begun == ["c1", "c1"]
    assert await rig.attached(key) == events
    assert await rig.attached(key, cursor=3) == events[3:]


async def test_an_end_that_was_logged_but_is_not_durable_is_nobodys() -> None:
    rig = LostRig([ContentDelta(text="a")])
    rig.store.fails("finish")
    execution = await rig.begin()
    key = execution.run.key
    await rig.until(lambda: "STOP" in types(rig.logged(key)))
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    rig.store.works()
    events = await rig.attached(key)
    assert len(ids_of(events, EventType.STOP)) == 1
    assert events == await rig.attached(key)
    assert len(ids_of(events, EventType.METRICS)) == 1
    assert rig.state(key).output == "a"


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_what_a_tool_gave_is_not_said_before_its_step_is_durable(end: str) -> None:
    much = ToolEnd(id="c1", name="order", result="x" * 70_000)
    done = Keep(Returned(call_id="c1", part="r"), say=much)
    rig = LostRig([Keep(Answered(message="m")), CALL, done])
    rig.journal.fails("write", when=lambda key, executor, step, *_, **__: step.number == 2)
    execution = await rig.begin()
    key = execution.run.key
    await rig.until(lambda: rig.engine.begun == ["c1"])
    await asyncio.sleep(0.05)
    assert "TOOL_END" not in types(rig.logged(key))
    await (rig.kill() if end == "kill" else rig.first.stop())
    rig.clock.advance(LAPSED_S)
    rig.journal.works()
    assert len(ids_of(await rig.attached(key), EventType.TOOL_END)) == 1


async def test_what_has_no_step_is_said_anew() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_answer())
    key = await lose(rig, script)
    events = await rig.attached(key)
    assert rig.state(key).output == "half whole"
    (reset,) = [event.event for event in events if isinstance(event.event, StepReset)]
    assert reset.to_event_id == 1


async def test_a_reader_that_waits_takes_the_run_over() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool())
    execution = await rig.begin()
    await asyncio.wait_for(script.reached.wait(), 5)
    reading = asyncio.create_task(rig.attached(execution.run.key))
    await asyncio.sleep(0.05)
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    script.gate.set()
    events = await asyncio.wait_for(reading, 10)
    assert types(events)[-1] == "STOP"
    assert rig.queue.sent == []


async def test_a_poll_asks_the_queue_once_and_a_worker_goes_on() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool())
    key = await lose(rig, script)
    for _ in range(3):
        run = get_run(ANA, "lasting", key.run_id, ports=rig.runs)
        assert run.status is RunStatus.RUNNING
    assert rig.queue.sent == [(key, timedelta())]
    assert await rig.work(key)
    assert rig.state(key).output == "think done"
    assert await rig.work(key)
    assert rig.state(key).attempt == 2


async def test_a_tool_that_may_have_run_is_in_doubt_and_runs_again_if_approved() -> None:
    script = Script()
    resumed: list[Item] = [CALL, DONE, ContentDelta(text="b")]
    rig = LostRig(script.waiting_in_tool(acting=("c1",)), resumed=resumed)
    key = await lose(rig, script)
    events = await rig.attached(key)
    assert types(events)[-2:] == ["METRICS", "PAUSED"]
    run = rig.state(key)
    assert run.required_action is not None
    assert run.required_action.type is PauseType.TOOL_IN_DOUBT
    assert rig.engine.begun == ["c1"]
    paused = await paused_run(ANA, "lasting", key.run_id, rig.runs)
    approve = ContinueRequest(action=ApprovalAction.APPROVE)
    await read_all(await rig.second.resume(ANA, paused, approve, deadline=None))
    assert rig.engine.begun == ["c1", "c1"]
    assert rig.state(key).output == "think b"


async def test_a_run_of_which_nobody_knows_what_it_has_done_does_nothing_more() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool())
    key = await lose(rig, script)
    rig.journal.fails("steps", error=EngineError("gone", error_type="STEPS_EXPIRED"))
    assert types(await rig.attached(key))[-1] == "ERROR"
    assert rig.state(key).error_type == "STEPS_EXPIRED"
    assert len(rig.engine.tasks) == 1


async def test_a_run_that_is_lost_as_often_as_it_may_be_has_failed() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_answer())
    execution = await rig.begin()
    key = execution.run.key
    for attempt in (1, 2, 3):
        await asyncio.wait_for(script.reached.wait(), 5)
        script.reached.clear()
        assert rig.state(key).attempt == attempt
        await rig.kill()
        await rig.kill(rig.second)
        rig.clock.advance(LAPSED_S)
        if attempt < 3:
            working = asyncio.create_task(rig.work(key))
    run = get_run(ANA, "lasting", key.run_id, ports=rig.runs)
    assert (run.status, run.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    events = await rig.attached(key)
    starts = ids_of(events, EventType.START)
    assert events[-1].id == run.last_event_id
    assert events[-1].id > starts[-1] + EVENT_ID_GAP - 10
    working.cancel()


async def test_a_lost_run_that_is_to_be_cancelled_is_cancelled() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_answer())
    execution = await rig.begin()
    key = execution.run.key
    await asyncio.wait_for(script.reached.wait(), 5)
    await rig.kill()
    cancel_run(ANA, "lasting", key.run_id, ports=rig.runs)
    rig.clock.advance(LAPSED_S)
    assert get_run(ANA, "lasting", key.run_id, ports=rig.runs).status is RunStatus.CANCELLED
    events = await rig.attached(key)
    assert types(events)[-1] == "CANCELLED"
    assert await rig.attached(key) == events


async def test_the_caps_count_a_run_that_goes_on_once() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool(), limits=RunLimits(runs_per_user=1))
    key = await lose(rig, script)
    assert len(rig.quota.held) == 1
    await rig.attached(key)
    assert rig.quota.held == set()


async def test_a_continuation_that_goes_on_elsewhere_gives_its_own_slot_back() -> None:
    script = Script()
    pause = TurnPaused(pending=CALLS, state="{}")
    resumed = script.waiting_in_answer()
    rig = LostRig([pause], resumed=resumed, limits=RunLimits(runs_per_user=1))
    key = (await rig.begin()).run.key
    await rig.until(lambda: rig.state(key).status is RunStatus.PAUSED)
    rig.clock.advance(60)
    paused = await paused_run(ANA, "lasting", key.run_id, rig.runs)
    await rig.first.resume(ANA, paused, APPROVE, deadline=None)
    await asyncio.wait_for(script.reached.wait(), 5)
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    script.gate.set()
    assert types(await rig.attached(key))[-1] == "STOP"
    assert rig.quota.held == set()


async def test_the_media_of_a_request_go_with_its_run() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_answer())
    execution = await rig.begin(request=rig.request(media=[PNG]))
    await asyncio.wait_for(script.reached.wait(), 5)
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    script.gate.set()
    await rig.attached(execution.run.key)
    before, after = rig.engine.tasks
    assert (
        before.media == after.media == (LoadedMedia(type="image/png", data=b64decode(PNG["data"])),)
    )


async def test_a_run_that_an_earlier_version_has_begun_keeps_its_media_in_its_pauses() -> None:
    pause = TurnPaused(pending=CALLS, state="{}")
    rig = LostRig([pause], resumed=[pause])
    execution = await rig.begin(request=rig.request(media=[PNG]))
    key = execution.run.key
    await rig.first.ended(execution)
    # As it was stored then: all in the checkpoint, and nothing beside the run.
    media = rig.engine.tasks[0].media
    kept = rig.store.checkpoints[key].model_copy(update={"media": media})
    rig.store.checkpoints[key] = kept
    rig.store.runs[key] = rig.store.runs[key].model_copy(update={"has_media": False})
    approve = ContinueRequest(action=ApprovalAction.APPROVE)
    for _ in range(2):
        paused = await paused_run(ANA, rig.agent, key.run_id, rig.runs)
        await read_all(await rig.first.resume(ANA, paused, approve, deadline=None))
    assert [task.media for task in rig.engine.tasks] == [media, media, media]


async def test_no_run_begins_whose_media_cannot_be_kept() -> None:
    rig = LostRig([])
    rig.objects.fails("put")
    with pytest.raises(StoreUnavailableError):
        await rig.begin(request=rig.request(media=[PNG]))
    assert rig.store.runs == {}


async def test_who_wants_the_slot_of_a_lost_run_asks_for_an_executor() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool(), limits=RunLimits(runs_per_user=1))
    key = await lose(rig, script)
    with pytest.raises(TooManyRunsError):
        await rig.begin()
    assert rig.queue.sent == [(key, timedelta())]
    assert await rig.work(key)
    await read_all(await rig.begin())


async def test_a_zombie_writes_nothing_and_takes_nothing() -> None:
    script = Script()
    rig = LostRig(script.waiting_in_tool(), limits=RunLimits(runs_per_user=1))
    # A heartbeat between the two would renew the lease.
    rig.first = rig.launcher(rig.engine, PATIENT)
    zombie = await rig.begin()
    key = zombie.run.key
    await asyncio.wait_for(script.reached.wait(), 5)
    # It is frozen, not dead; another process takes the run over.
    rig.clock.set_forward(LAPSED_S)
    events = await asyncio.gather(rig.attached(key), _thaw(rig, zombie, script))
    assert types(events[0])[-1] == "STOP"
    assert await rig.attached(key) == events[0]
    assert rig.state(key).output == "think done"
    assert rig.quota.held == set()


async def _thaw(rig: LostRig, zombie: RunExecution, script: Script) -> None:
    await rig.until(lambda: rig.state(zombie.run.key).attempt == 2)
    script.gate.set()
    await rig.first.ended(zombie)


async def test_an_agent_that_changes_after_a_continuations_effects_ends_the_run() -> None:
    """Paused again as it was, the run would have the same calls approved, and made, once more."""
    gate, kept = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        kept.set()
        await gate.wait()

    changed = CannotResumeError("The agent has changed.")
    rig = LostRig([TurnPaused(pending=CALLS, state="s")], resumed=[CALL, DONE, wait, changed])
    execution = await rig.begin()
    await read_all(execution)
    key = execution.run.key
    paused = await paused_run(ANA, rig.agent, key.run_id, rig.runs)
    await rig.first.resume(ANA, paused, APPROVE, deadline=None)
    await kept.wait()
    await rig.kill()
    rig.clock.advance(LAPSED_S)
    gate.set()
    await rig.attached(key)
    run = rig.state(key)
    assert (run.status, run.error_type) == (RunStatus.FAILED, "CANNOT_RESUME")
    assert rig.engine.begun == ["c1"]
