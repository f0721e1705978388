"""An executor whose process ends hands its run over; nothing is lost, and nobody notices."""

import asyncio
from datetime import timedelta

import pytest

import tests.rig
from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.events import (
    ContentDelta,
    EventType,
    Metrics,
    ResetReason,
    StepReset,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import Lease, RunStatus
from agentrun.domain.steps import Answered, Returned
from agentrun.service.executing import bounds
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.runs import cancel_run
from agentrun.service.starting import session_queue
from tests.fakes.scripted_engine import Ask, Item, Keep
from tests.rig import ANA, LASTING, read_all, types
from tests.runs import AT, SESSION, a_request, a_run, completed
from tests.unit.core.service.lost_rig import LostRig, ids_of

pytestmark = pytest.mark.anyio

LASTS_S = 20.0
CALL = ToolStart(id="c1", name="order", arguments={})
DONE = Keep(Returned(call_id="c1", part="r"), say=ToolEnd(id="c1", name="order", result=1))


def passing(rig: list[LostRig], seconds: float) -> Item:
    """Let time pass for the execution that plays the script."""

    async def pass_time() -> None:
        rig[0].clock.advance(seconds)

    return pass_time


async def test_a_run_goes_on_elsewhere_from_a_steps_end() -> None:
    rigs: list[LostRig] = []
    script: list[Item] = [
        ContentDelta(text="a"),
        Metrics(total_tokens=5),
        Keep(Answered(message="m", acting=("c1",))),
        CALL,
        passing(rigs, 10),
        DONE,
        Ask(),
        ContentDelta(text="b"),
    ]
    rig = LostRig(script, limits=RunLimits(runs_per_user=1))
    rigs.append(rig)
    execution = await rig.begin(lasts_s=LASTS_S)
    key = execution.run.key
    first = await read_all(execution)
    assert types(first) == ["START", "CONTENT_DELTA", "TOOL_START", "TOOL_END"]
    assert rig.state(key).status is RunStatus.RUNNING
    await rig.first.ended(execution)
    assert rig.queue.sent == [(key, timedelta())]
    assert rig.ended == []
    assert len(rig.quota.held) == 1
    assert await rig.work(key)
    events = await rig.attached(key)
    assert types(events) == [*types(first), "START", "CONTENT_DELTA", "METRICS", "STOP"]
    assert [event.id for event in events] == list(range(1, 9))
    run = rig.state(key)
    assert (run.status, run.attempt, run.output) == (RunStatus.COMPLETED, 1, "ab")
    assert rig.engine.begun == ["c1"]
    assert rig.quota.held == set()


async def test_a_tool_that_has_not_begun_is_not_in_doubt() -> None:
    rigs: list[LostRig] = []
    script: list[Item] = [
        passing(rigs, 10),
        Keep(Answered(message="m", acting=("c1",))),
        CALL,
        DONE,
        ContentDelta(text="b"),
    ]
    rig = LostRig(script)
    rigs.append(rig)
    execution = await rig.begin(lasts_s=LASTS_S)
    await read_all(execution)
    await rig.first.ended(execution)
    assert rig.engine.begun == []
    assert await rig.work(execution.run.key)
    assert rig.state(execution.run.key).status is RunStatus.COMPLETED
    assert rig.engine.begun == ["c1"]


async def test_a_long_answer_is_made_again_elsewhere() -> None:
    gate, rigs = asyncio.Event(), list[LostRig]()

    async def wait() -> None:
        rigs[0].clock.advance(15)
        await gate.wait()

    rig = LostRig([ContentDelta(text="half "), wait, ContentDelta(text="whole")])
    rigs.append(rig)
    execution = await rig.begin(lasts_s=LASTS_S)
    assert types(await read_all(execution)) == ["START", "CONTENT_DELTA"]
    await rig.first.ended(execution)
    gate.set()
    assert await rig.work(execution.run.key)
    events = await rig.attached(execution.run.key)
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    (reset,) = [event.event for event in events if isinstance(event.event, StepReset)]
    assert reset == StepReset(to_event_id=1, attempt=2, reason=ResetReason.HANDED_OVER)
    assert rig.state(execution.run.key).output == "half whole"


async def test_what_is_made_again_elsewhere_has_been_paid_for() -> None:
    gate, rigs = asyncio.Event(), list[LostRig]()

    async def wait() -> None:
        rigs[0].clock.advance(15)
        await gate.wait()

    used = Metrics(total_tokens=5, llm_calls=1)
    rig = LostRig([ContentDelta(text="half "), used, wait, ContentDelta(text="whole")])
    rigs.append(rig)
    execution = await rig.begin(lasts_s=LASTS_S)
    await rig.first.ended(execution)
    gate.set()
    assert await rig.work(execution.run.key)
    run = rig.state(execution.run.key)
    assert (run.status, run.total_tokens, run.duration_ms) == (RunStatus.COMPLETED, 10, 30_000)


async def test_a_process_that_is_stopped_hands_its_runs_over() -> None:
    gate = asyncio.Event()
    rig = LostRig([ContentDelta(text="a"), gate, ContentDelta(text="b")])
    execution = await rig.begin()
    await asyncio.sleep(0.01)
    await rig.first.stop()
    gate.set()
    assert rig.queue.sent == [(execution.run.key, timedelta())]
    assert await rig.work(execution.run.key)
    assert rig.state(execution.run.key).output == "ab"


async def test_a_run_that_is_cancelled_between_two_executors_gives_its_slot_back() -> None:
    gate = asyncio.Event()
    rig = LostRig([ContentDelta(text="a"), gate], limits=RunLimits(runs_per_user=1))
    execution = await rig.begin()
    key = execution.run.key
    await asyncio.sleep(0.01)
    await rig.first.stop()
    assert rig.state(key).is_handed_over
    cancel_run(ANA, "lasting", key.run_id, ports=rig.runs)
    assert await rig.work(key)
    assert rig.state(key).status is RunStatus.CANCELLED
    assert rig.quota.held == set()
    assert types(await rig.attached(key)) == ["START", "CONTENT_DELTA", "CANCELLED"]


async def test_a_run_that_has_lasted_as_long_as_it_may_has_failed() -> None:
    gate, rigs = asyncio.Event(), list[LostRig]()

    async def wait() -> None:
        rigs[0].clock.advance(LASTING.max_duration_s + 1)
        # The lease is kept alive, as far as the clock is concerned.
        await gate.wait()

    rig = LostRig([ContentDelta(text="a"), wait])
    rigs.append(rig)
    execution = await rig.begin()
    events = await read_all(execution)
    assert types(events)[-1] == "ERROR"
    run = rig.state(execution.run.key)
    assert (run.status, run.error_type) == (RunStatus.FAILED, "DEADLINE_EXCEEDED")


async def test_waiting_for_the_session_is_no_part_of_how_long_a_run_may_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_queue, "LOOK_AT_LOCK_EVERY_S", 0.002)
    monkeypatch.setattr(tests.rig, "LASTING", LASTING.model_copy(update={"max_duration_s": 5}))
    rig = LostRig([ContentDelta(text="a")])
    monkeypatch.setattr(bounds, "LOOK_AGAIN_AFTER_S", 0.005)
    lease = Lease(executor="other", until=AT + timedelta(days=1))
    other = a_run(agent_id="lasting", lease=lease)
    rig.store.start(other, a_request())
    stream = await rig.first.begin(
        ANA, "lasting", rig.request(sessionId=SESSION), policy=SessionPolicy.ENQUEUE, deadline=None
    )
    assert isinstance(stream, RunExecution)
    await rig.until(lambda: stream.last_event_id == 1)
    rig.clock.advance(7)
    await asyncio.sleep(0.05)
    assert rig.state(stream.run.key).status is RunStatus.QUEUED
    rig.store.finish(other.key, "other", completed(), at=rig.clock.now())
    await read_all(stream)
    assert rig.state(stream.run.key).status is RunStatus.COMPLETED


async def test_a_queue_that_is_not_available_leaves_the_run_to_its_readers() -> None:
    gate = asyncio.Event()
    rig = LostRig([ContentDelta(text="a"), gate, ContentDelta(text="b")])
    rig.queue.fails("send")
    execution = await rig.begin()
    await asyncio.sleep(0.01)
    await rig.first.stop()
    gate.set()
    events = await rig.attached(execution.run.key)
    assert types(events)[-1] == "STOP"
    assert len(ids_of(events, EventType.START)) == 2


async def test_a_step_that_never_ends_is_not_made_again_for_ever() -> None:
    """No step counts the time of what was handed over in the middle of one."""
    rigs: list[LostRig] = []
    rig = LostRig([passing(rigs, 296), asyncio.Event()])
    rigs.append(rig)
    execution = await rig.begin(lasts_s=300)
    await read_all(execution)
    await rig.first.ended(execution)
    key = execution.run.key
    executions = 1
    while rig.state(key).status is RunStatus.RUNNING:
        assert await rig.work(key, lasts_s=300)
        executions += 1
        assert executions < 10
    run = rig.state(key)
    assert (run.status, run.error_type) == (RunStatus.FAILED, "DEADLINE_EXCEEDED")
    assert LASTING.max_duration_s <= (run.duration_ms or 0) / 1000 < LASTING.max_duration_s + 300
