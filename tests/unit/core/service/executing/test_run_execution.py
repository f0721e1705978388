"""Executing a run: what is streamed, what is recorded, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from agentrun.domain.errors import EngineError
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    EventType,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.ports import AgentTask
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.service.executing import execution as run_execution
from agentrun.service.executing import run_events as run_narration
from agentrun.service.executing.bounds import DEADLINE_RESERVE
from agentrun.service.executing.execution import RunExecution
from tests.rig import PATIENT, QUICK, StartedRig
from tests.runs import AT, EXECUTOR, a_run

pytestmark = pytest.mark.anyio

Script = Callable[[], AsyncGenerator[EngineEvent, None]]


class Engine:
    """The port `AgentEngine`, as one generator function."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineEvent, None]:
        return self._script()


@pytest.fixture
def rig() -> StartedRig:
    return StartedRig()


async def answer() -> AsyncGenerator[EngineEvent, None]:
    yield ReasoningDelta(text="think")
    yield ToolStart(id="c", name="calc", arguments={"x": 1})
    yield ToolEnd(id="c", name="calc", result=2)
    yield ContentDelta(text="a")
    yield ContentDelta(text="b")
    yield Metrics(total_tokens=7, model="demo")


async def forever() -> AsyncGenerator[EngineEvent, None]:
    yield ContentDelta(text="so far")
    await asyncio.Event().wait()


async def test_a_run_streams_and_records_the_same_events_with_ids_from_one(rig: StartedRig) -> None:
    await rig.run(Engine(answer))
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

    async def look() -> AsyncGenerator[EngineEvent, None]:
        seen_before.extend(r.event.event for r in execution._events.live._ready)
        yield ContentDelta(text="a")

    execution = rig.execution(Engine(look))
    await execution.execute()
    assert seen_before == ["START"]


async def test_the_end_is_said_only_once_it_is_durable(rig: StartedRig) -> None:
    said_at_commit: list[EventType] = []
    rig.store.before("finish", lambda *_, **__: said_at_commit.extend(rig.types))
    await rig.run(Engine(answer))
    assert EventType.STOP in rig.types
    assert said_at_commit
    assert {EventType.METRICS, EventType.STOP}.isdisjoint(said_at_commit)


async def test_an_agents_failure_is_told_in_its_own_words(rig: StartedRig) -> None:
    async def fail() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        yield Metrics(total_tokens=3)
        raise EngineError("The model is overloaded.", error_type="MODEL_THROTTLED")

    await rig.run(Engine(fail))
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
    async def fail() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        raise KeyError("secret")

    await rig.run(Engine(fail))
    assert rig.stored.error_type == "INTERNAL_ERROR"
    assert "secret" not in str(rig.streamed[-1])
    assert "KeyError" not in str(rig.stored)


async def test_the_cause_of_a_failed_run_is_logged_once(
    rig: StartedRig, caplog: pytest.LogCaptureFixture
) -> None:
    cause = KeyError("what the provider said")

    async def fail() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        raise EngineError("The model has failed.", error_type="MODEL_ERROR") from cause

    await rig.run(Engine(fail))
    (record,) = [one for one in caplog.records if one.exc_info]
    assert record.getMessage() == "run failed: MODEL_ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is cause
    assert vars(record)["runId"] == rig.stored.id
    assert "provider" not in str(rig.streamed)


async def test_a_run_that_fails_without_an_exception_is_logged_too(
    rig: StartedRig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.run(Engine(forever), deadline=AT)
    assert [one.getMessage() for one in caplog.records] == ["run failed: DEADLINE_EXCEEDED"]


async def test_an_engine_that_breaks_off_by_itself_has_failed(rig: StartedRig) -> None:
    async def break_off() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        raise asyncio.CancelledError

    await rig.run(Engine(break_off))
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert rig.stored.error_type == "AGENT_ERROR"


async def test_a_run_that_is_stopped_with_its_process_fails_with_what_it_had(
    rig: StartedRig,
) -> None:
    execution = rig.execution(Engine(forever))
    executing = asyncio.create_task(execution.execute())
    async for batch in execution.batches(idle_s=60):
        rig.streamed += batch
        if EventType.CONTENT_DELTA in rig.types:
            execution.stop()
    await executing
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert (rig.stored.error_type, rig.stored.output) == ("EXECUTOR_STOPPED", "so far")


async def test_a_run_ends_itself_before_its_deadline(rig: StartedRig) -> None:
    async def pass_the_time() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        rig.clock.advance(0.01)
        await asyncio.Event().wait()

    deadline = AT + DEADLINE_RESERVE + timedelta(milliseconds=10)
    await rig.run(Engine(pass_the_time), deadline=deadline)
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert (rig.stored.error_type, rig.stored.output) == ("DEADLINE_EXCEEDED", "so far")


async def test_an_answer_past_the_limit_fails_with_what_it_had(
    rig: StartedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_narration, "MAX_OUTPUT_BYTES", 3)

    async def long() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="é")
        yield ContentDelta(text="ab")
        yield ContentDelta(text="never")

    await rig.run(Engine(long))
    assert (rig.stored.error_type, rig.stored.output) == ("OUTPUT_TOO_LARGE", "éab")


async def test_events_are_flushed_while_the_run_goes_on(rig: StartedRig) -> None:
    flushed = asyncio.Event()
    loop = asyncio.get_running_loop()
    rig.log.after("append", lambda *_, **__: loop.call_soon_threadsafe(flushed.set))

    async def wait_for_flush() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        await flushed.wait()
        yield ContentDelta(text="b")

    await rig.run(Engine(wait_for_flush), QUICK)
    assert rig.stored.status is RunStatus.COMPLETED
    assert rig.written == rig.streamed


async def test_a_burst_is_flushed_by_its_size(rig: StartedRig) -> None:
    pace = PATIENT.model_copy(update={"flush_characters": 10})
    flushed = asyncio.Event()
    loop = asyncio.get_running_loop()
    rig.log.after("append", lambda *_, **__: loop.call_soon_threadsafe(flushed.set))

    async def burst() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="x" * 10)
        await flushed.wait()

    await rig.run(Engine(burst), pace)
    assert rig.stored.status is RunStatus.COMPLETED


async def test_a_cancel_request_comes_back_with_the_heartbeat(rig: StartedRig) -> None:
    closed = asyncio.Event()

    def heartbeat(call: Callable[..., AgentRun], *args: Any, **kwargs: Any) -> AgentRun:
        return call(*args, **kwargs).model_copy(update={"cancel_requested": True})

    rig.store.around("heartbeat", heartbeat)

    async def watched() -> AsyncGenerator[EngineEvent, None]:
        try:
            yield ContentDelta(text="so far")
            await asyncio.Event().wait()
        finally:
            closed.set()

    await rig.run(Engine(watched), QUICK)
    assert closed.is_set()
    assert rig.types == ["START", "CONTENT_DELTA", "METRICS", "CANCELLED"]
    assert (rig.stored.status, rig.stored.output) == (RunStatus.CANCELLED, "so far")


async def test_a_fenced_execution_stops_at_once_and_says_no_end(rig: StartedRig) -> None:
    async def taken_over() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        stolen = a_run(lease=Lease(executor="executor-2", until=AT))
        rig.store.runs[stolen.key] = stolen
        await asyncio.Event().wait()

    assert await rig.run(Engine(taken_over), QUICK) is None
    assert rig.types == ["START", "CONTENT_DELTA"]
    assert rig.stored.status is RunStatus.RUNNING


async def test_a_run_that_lost_its_lease_says_the_end_that_others_gave_it(rig: StartedRig) -> None:
    async def expired_meanwhile() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        rig.store.expire(rig.stored, at=AT)

    assert await rig.run(Engine(expired_meanwhile)) is None
    assert rig.types == ["START", "CONTENT_DELTA", "ERROR"]
    assert rig.streamed[-1].id == rig.stored.last_event_id
    assert rig.stored.error_type == "LEASE_EXPIRED"


async def test_a_store_that_is_away_for_a_while_loses_nothing(rig: StartedRig) -> None:
    append, finish = rig.log.fails("append", times=3), rig.store.fails("finish", times=3)

    async def pause_between() -> AsyncGenerator[EngineEvent, None]:
        for number in range(20):
            yield ContentDelta(text=f"{number} ")
            await asyncio.sleep(0.002)

    await rig.run(Engine(pause_between), QUICK)
    assert (append.hits, finish.hits) == (3, 3)
    assert rig.written == rig.streamed
    assert rig.stored.status is RunStatus.COMPLETED


async def test_a_store_that_stays_away_leaves_the_end_to_the_lease(
    rig: StartedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_execution, "FINISH_PATIENCE", timedelta(seconds=0.01))
    rig.store.fails("finish")
    assert await rig.run(Engine(answer)) is None
    assert EventType.STOP not in rig.types
    assert rig.stored.status is RunStatus.RUNNING


async def test_what_a_run_may_hold_in_memory_is_bounded(rig: StartedRig) -> None:
    rig.log.fails("append", times=5)
    pace = PATIENT.model_copy(update={"flush_characters": 500, "buffer_characters": 2_000})

    async def talk() -> AsyncGenerator[EngineEvent, None]:
        for _ in range(50):
            yield ContentDelta(text="x")

    await rig.run(Engine(talk), pace)
    assert (rig.stored.status, rig.stored.error_type) == (
        RunStatus.FAILED,
        "STORE_UNAVAILABLE",
    )
    assert rig.written == rig.streamed
    assert len(rig.stored.output or "") < 50


async def test_a_long_buffer_is_written_in_segments(rig: StartedRig) -> None:
    segments: list[int] = []
    rig.log.before("append", lambda _, events, **__: segments.append(len(events)))

    async def talk() -> AsyncGenerator[EngineEvent, None]:
        for _ in range(20):
            yield ContentDelta(text="x" * 1_000)

    pace = PATIENT.model_copy(update={"flush_characters": 5_000})
    await rig.run(Engine(talk), pace)
    assert rig.written == rig.streamed
    assert max(segments) <= 6


async def test_the_lease_is_renewed_while_the_end_cannot_be_written(rig: StartedRig) -> None:
    renewed: list[datetime] = []
    rig.store.before("heartbeat", lambda *_, lease_until: renewed.append(lease_until))
    rig.store.fails("finish", times=3)
    await rig.run(Engine(answer))
    assert len(renewed) == 3
    assert rig.stored.status is RunStatus.COMPLETED


async def test_a_run_outlives_its_listener(rig: StartedRig) -> None:
    heard = asyncio.Event()

    async def wait_until_alone() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        await heard.wait()
        yield ContentDelta(text="b")

    execution = rig.execution(Engine(wait_until_alone))
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

    async def until_renewed() -> AsyncGenerator[EngineEvent, None]:
        await enough.wait()
        yield ContentDelta(text="a")

    await rig.run(Engine(until_renewed), QUICK)
    assert renewals[:3] == [AT + timedelta(seconds=15)] * 3
    assert rig.stored.lease == Lease(executor=EXECUTOR, until=AT + timedelta(seconds=15))
