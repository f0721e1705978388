"""Executing a run: what is streamed, what is recorded, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from agentrun.domain.errors import EngineError
from agentrun.domain.events import (
    ContentDelta,
    EventType,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.ports import CANCEL_REQUESTED
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.service.executing import execution as run_execution
from agentrun.service.executing import run_events
from agentrun.service.executing.bounds import DEADLINE_RESERVE
from agentrun.service.executing.execution import RunExecution
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import PATIENT, QUICK, StartedRig
from tests.runs import AT, EXECUTOR, a_run

pytestmark = pytest.mark.anyio

A = ContentDelta(text="a")
SO_FAR = ContentDelta(text="so far")
ANSWER = (
    ReasoningDelta(text="think"),
    ToolStart(id="c", name="calc", arguments={"x": 1}),
    ToolEnd(id="c", name="calc", result=2),
    A,
    ContentDelta(text="b"),
    Metrics(total_tokens=7, model="demo"),
)


async def for_ever() -> None:
    await asyncio.Event().wait()


class Told:
    """Waits for ever; `why` is what it was cancelled with."""

    why: tuple[object, ...] | None = None

    async def wait_for_ever(self) -> None:
        try:
            await for_ever()
        except asyncio.CancelledError as error:
            self.why = error.args
            raise


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


@pytest.fixture
def rig() -> StartedRig:
    return StartedRig()


async def test_a_run_streams_and_records_the_same_events_with_ids_from_one(rig: StartedRig) -> None:
    await rig.run(ScriptedEngine(ANSWER))
    assert rig.types == [
        "START",
        "REASONING_DELTA",
        "TOOL_START",
        "TOOL_END",
        "CONTENT_DELTA",
        "CONTENT_DELTA",
        "METRICS",
        "STOP",
    ]
    assert [recorded.id for recorded in rig.streamed] == list(range(1, 9))
    assert rig.written == rig.streamed
    assert (rig.stored.status, rig.stored.output) == (RunStatus.COMPLETED, "ab")
    assert (rig.stored.last_event_id, rig.stored.total_tokens) == (8, 7)


async def test_start_is_said_before_the_engine_begins(rig: StartedRig) -> None:
    seen_before: list[EventType] = []
    execution: RunExecution

    async def look() -> None:
        seen_before.extend(r.event.event for r in execution._events.live._ready)

    execution = rig.execution(ScriptedEngine([look, A]))
    await execution.execute()
    assert seen_before == ["START"]


async def test_the_end_is_said_only_once_it_is_durable(rig: StartedRig) -> None:
    said_at_commit: list[EventType] = []
    rig.store.before("finish", lambda *_, **__: said_at_commit.extend(rig.types))
    await rig.run(ScriptedEngine(ANSWER))
    assert EventType.STOP in rig.types
    assert said_at_commit
    assert {EventType.METRICS, EventType.STOP}.isdisjoint(said_at_commit)


async def test_an_agents_failure_is_told_in_its_own_words(rig: StartedRig) -> None:
    error = EngineError("The model is overloaded.", error_type="MODEL_THROTTLED")
    await rig.run(ScriptedEngine([SO_FAR, Metrics(total_tokens=3), error]))
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert rig.streamed[-1].event.model_dump()["message"] == "The model is overloaded."
    run = rig.stored
    assert (run.status, run.error_type, run.output, run.total_tokens) == (
        RunStatus.FAILED,
        "MODEL_THROTTLED",
        "so far",
        3,
    )


async def test_an_unexpected_failure_tells_nothing_internal(rig: StartedRig) -> None:
    await rig.run(ScriptedEngine([SO_FAR, raising(KeyError("secret"))]))
    assert rig.stored.error_type == "INTERNAL_ERROR"
    assert "secret" not in str(rig.streamed[-1])
    assert "KeyError" not in str(rig.stored)


async def test_the_cause_of_a_failed_run_is_logged_once(
    rig: StartedRig, caplog: pytest.LogCaptureFixture
) -> None:
    error = EngineError("The model has failed.", error_type="MODEL_ERROR")
    error.__cause__ = cause = KeyError("what the provider said")
    await rig.run(ScriptedEngine([SO_FAR, error]))
    (record,) = [one for one in caplog.records if one.exc_info]
    assert record.getMessage() == "run failed: MODEL_ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is cause
    assert vars(record)["runId"] == rig.stored.id
    assert "provider" not in str(rig.streamed)


async def test_a_run_that_fails_without_an_exception_is_logged_too(
    rig: StartedRig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.run(ScriptedEngine([SO_FAR, for_ever]), deadline=AT)
    assert [one.getMessage() for one in caplog.records] == ["run failed: DEADLINE_EXCEEDED"]


async def test_an_engine_that_breaks_off_by_itself_has_failed(rig: StartedRig) -> None:
    await rig.run(ScriptedEngine([SO_FAR, raising(asyncio.CancelledError())]))
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert rig.stored.error_type == "AGENT_ERROR"


async def test_a_run_that_is_stopped_with_its_process_fails_with_what_it_had(
    rig: StartedRig,
) -> None:
    execution = rig.execution(ScriptedEngine([SO_FAR, for_ever]))
    executing = asyncio.create_task(execution.execute())
    async for batch in execution.batches(idle_s=60):
        rig.streamed += batch
        if EventType.CONTENT_DELTA in rig.types:
            execution.stop()
    await executing
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert (rig.stored.error_type, rig.stored.output) == ("EXECUTOR_STOPPED", "so far")


async def test_a_run_ends_itself_before_its_deadline(rig: StartedRig) -> None:
    async def pass_the_time() -> None:
        rig.clock.advance(0.01)

    deadline = AT + DEADLINE_RESERVE + timedelta(milliseconds=10)
    told = Told()
    engine = ScriptedEngine([SO_FAR, pass_the_time, told.wait_for_ever])
    await rig.run(engine, deadline=deadline)
    assert told.why == ()
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert (rig.stored.error_type, rig.stored.output) == ("DEADLINE_EXCEEDED", "so far")


async def test_an_answer_past_the_limit_fails_with_what_it_had(
    rig: StartedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_events, "MAX_OUTPUT_BYTES", 3)
    await rig.run(ScriptedEngine([ContentDelta(text=text) for text in ("é", "ab", "never")]))
    assert (rig.stored.error_type, rig.stored.output) == ("OUTPUT_TOO_LARGE", "éab")


async def test_events_are_flushed_while_the_run_goes_on(rig: StartedRig) -> None:
    flushed = asyncio.Event()
    loop = asyncio.get_running_loop()
    rig.log.after("append", lambda *_, **__: loop.call_soon_threadsafe(flushed.set))
    await rig.run(ScriptedEngine([A, flushed, A]), QUICK)
    assert rig.stored.status is RunStatus.COMPLETED
    assert rig.written == rig.streamed


async def test_a_burst_is_flushed_by_its_size(rig: StartedRig) -> None:
    pace = PATIENT.model_copy(update={"flush_characters": 10})
    flushed = asyncio.Event()
    loop = asyncio.get_running_loop()
    rig.log.after("append", lambda *_, **__: loop.call_soon_threadsafe(flushed.set))
    await rig.run(ScriptedEngine([ContentDelta(text="x" * 10), flushed]), pace)
    assert rig.stored.status is RunStatus.COMPLETED


async def test_a_cancel_request_comes_back_with_the_heartbeat(rig: StartedRig) -> None:
    def heartbeat(call: Callable[..., AgentRun], *args: Any, **kwargs: Any) -> AgentRun:
        return call(*args, **kwargs).model_copy(update={"cancel_requested": True})

    rig.store.around("heartbeat", heartbeat)
    told = Told()
    engine = ScriptedEngine([SO_FAR, told.wait_for_ever])
    await rig.run(engine, QUICK)
    assert engine.cancelled == 1
    assert told.why == (CANCEL_REQUESTED,)
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "CANCELLED"]
    assert (rig.stored.status, rig.stored.output) == (RunStatus.CANCELLED, "so far")


async def test_a_fenced_execution_stops_at_once_and_says_no_end(rig: StartedRig) -> None:
    async def take_over() -> None:
        stolen = a_run(lease=Lease(executor="executor-2", until=AT))
        rig.store.runs[stolen.key] = stolen

    assert await rig.run(ScriptedEngine([A, take_over, for_ever]), QUICK) is None
    assert rig.types == ["START", "CONTENT_DELTA"]
    assert rig.stored.status is RunStatus.RUNNING


async def test_a_run_that_lost_its_lease_says_the_end_that_others_gave_it(rig: StartedRig) -> None:
    async def expire() -> None:
        rig.store.expire(rig.stored, at=AT)

    assert await rig.run(ScriptedEngine([A, expire])) is None
    assert rig.types == ["START", "CONTENT_DELTA", "ERROR"]
    assert rig.streamed[-1].id == rig.stored.last_event_id
    assert rig.stored.error_type == "LEASE_EXPIRED"


async def test_a_store_that_is_away_for_a_while_loses_nothing(rig: StartedRig) -> None:
    append, finish = rig.log.fails("append", times=3), rig.store.fails("finish", times=3)
    await rig.run(ScriptedEngine([A, partial(asyncio.sleep, 0.002)] * 20), QUICK)
    assert (append.hits, finish.hits) == (3, 3)
    assert rig.written == rig.streamed
    assert rig.stored.status is RunStatus.COMPLETED


async def test_a_store_that_stays_away_leaves_the_end_to_the_lease(
    rig: StartedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_execution, "FINISH_PATIENCE", timedelta(seconds=0.01))
    rig.store.fails("finish")
    assert await rig.run(ScriptedEngine(ANSWER)) is None
    assert EventType.STOP not in rig.types
    assert rig.stored.status is RunStatus.RUNNING


async def test_what_a_run_may_hold_in_memory_is_bounded(rig: StartedRig) -> None:
    rig.log.fails("append", times=5)
    pace = PATIENT.model_copy(update={"flush_characters": 500, "buffer_characters": 2_000})
    await rig.run(ScriptedEngine([A] * 50), pace)
    assert (rig.stored.status, rig.stored.error_type) == (
        RunStatus.FAILED,
        "STORE_UNAVAILABLE",
    )
    assert rig.written == rig.streamed
    assert len(rig.stored.output or "") < 50


async def test_a_long_buffer_is_written_in_segments(rig: StartedRig) -> None:
    segments: list[int] = []
    rig.log.before("append", lambda _, events, **__: segments.append(len(events)))
    pace = PATIENT.model_copy(update={"flush_characters": 5_000})
    await rig.run(ScriptedEngine([ContentDelta(text="x" * 1_000)] * 20), pace)
    assert rig.written == rig.streamed
    assert max(segments) <= 6


async def test_the_lease_is_renewed_while_the_end_cannot_be_written(rig: StartedRig) -> None:
    renewed: list[datetime] = []
    rig.store.before("heartbeat", lambda *_, lease_until: renewed.append(lease_until))
    rig.store.fails("finish", times=3)
    await rig.run(ScriptedEngine(ANSWER))
    assert len(renewed) == 3
    assert rig.stored.status is RunStatus.COMPLETED


async def test_a_run_outlives_its_listener(rig: StartedRig) -> None:
    heard = asyncio.Event()
    execution = rig.execution(ScriptedEngine([A, heard, ContentDelta(text="b")]))
    executing = asyncio.create_task(execution.execute())
    listener = execution.batches(idle_s=60)
    await anext(listener)
    await listener.aclose()
    heard.set()
    await executing
    assert rig.stored.output == "ab"
    assert len(rig.written) == 5


async def test_the_lease_is_renewed_while_the_run_goes_on(rig: StartedRig) -> None:
    renewals: list[datetime] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heartbeat(*_: object, lease_until: datetime) -> None:
        renewals.append(lease_until)
        if len(renewals) == 3:
            loop.call_soon_threadsafe(enough.set)

    rig.store.before("heartbeat", heartbeat)
    await rig.run(ScriptedEngine([enough, A]), QUICK)
    assert renewals[:3] == [AT + timedelta(seconds=15)] * 3
    assert rig.stored.lease == Lease(executor=EXECUTOR, until=AT + timedelta(seconds=15))
