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
    RecordedEvent,
    ToolEnd,
    ToolStart,
)
from agentrun.domain.outcomes import Outcome
from agentrun.domain.ports import AgentTask
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.service import run_execution, run_narration
from agentrun.service.execution_bounds import DEADLINE_RESERVE
from agentrun.service.run_execution import RunExecution
from agentrun.service.run_recorder import RecordingPace
from tests.runs import AT, EXECUTOR, a_request, a_run
from tests.workshop import PATIENT, QUICK, Workshop, types

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


class Stage(Workshop):
    """A started run with everything that an execution needs, and what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.streamed: list[RecordedEvent] = []
        self.store.start(a_run(), a_request())

    async def run(
        self, script: Script, pace: RecordingPace = PATIENT, **options: Any
    ) -> Outcome | None:
        execution = self.execution(Engine(script), pace=pace)
        executing = asyncio.create_task(execution.execute(**options))
        async for batch in execution.batches(idle_s=60):
            self.streamed += batch
        return await executing

    @property
    def types(self) -> list[EventType]:
        return types(self.streamed)

    @property
    def written(self) -> list[RecordedEvent]:
        return self.logged(a_run().key)

    @property
    def stored(self) -> AgentRun:
        return self.store.get(a_run().key)


@pytest.fixture
def stage() -> Stage:
    return Stage()


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


async def test_a_run_streams_and_records_the_same_events_with_ids_from_one(stage: Stage) -> None:
    await stage.run(answer)
    assert stage.types == [
        "START",
        "REASONING_DELTA",
        "TOOL_START",
        "TOOL_END",
        "CONTENT_DELTA",
        "CONTENT_DELTA",
        "METRICS",
        "STOP",
    ]
    assert [recorded.id for recorded in stage.streamed] == list(range(1, 9))
    assert stage.written == stage.streamed
    assert (stage.stored.status, stage.stored.output) == (RunStatus.COMPLETED, "ab")
    assert (stage.stored.last_event_id, stage.stored.total_tokens) == (8, 7)


async def test_start_is_said_before_the_engine_begins(stage: Stage) -> None:
    seen_before: list[EventType] = []
    execution: RunExecution

    async def look() -> AsyncGenerator[EngineEvent, None]:
        seen_before.extend(r.event.event for r in execution._narration.live._ready)
        yield ContentDelta(text="a")

    execution = stage.execution(Engine(look))
    await execution.execute()
    assert seen_before == ["START"]


async def test_the_end_is_said_only_once_it_is_durable(stage: Stage) -> None:
    said_at_commit: list[EventType] = []
    stage.store.before("finish", lambda *_, **__: said_at_commit.extend(stage.types))
    await stage.run(answer)
    assert EventType.STOP in stage.types
    assert said_at_commit
    assert {EventType.METRICS, EventType.STOP}.isdisjoint(said_at_commit)


async def test_an_agents_failure_is_told_in_its_own_words(stage: Stage) -> None:
    async def fail() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        yield Metrics(total_tokens=3)
        raise EngineError("The model is overloaded.", error_type="MODEL_THROTTLED")

    await stage.run(fail)
    assert stage.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert stage.streamed[-1].event.model_dump()["message"] == "The model is overloaded."
    run = stage.stored
    assert (run.status, run.error_type, run.output, run.total_tokens) == (
        RunStatus.FAILED,
        "MODEL_THROTTLED",
        "so far",
        3,
    )


async def test_an_unexpected_failure_tells_nothing_internal(stage: Stage) -> None:
    async def fail() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        raise KeyError("secret")

    await stage.run(fail)
    assert stage.stored.error_type == "INTERNAL_ERROR"
    assert "secret" not in str(stage.streamed[-1])
    assert "KeyError" not in str(stage.stored)


async def test_the_cause_of_a_failed_run_is_logged_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    cause = KeyError("what the provider said")

    async def fail() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        raise EngineError("The model has failed.", error_type="MODEL_ERROR") from cause

    await stage.run(fail)
    (record,) = [one for one in caplog.records if one.exc_info]
    assert record.getMessage() == "run failed: MODEL_ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is cause
    assert vars(record)["runId"] == stage.stored.id
    assert "provider" not in str(stage.streamed)


async def test_a_run_that_fails_without_an_exception_is_logged_too(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.run(forever, deadline=AT)
    assert [one.getMessage() for one in caplog.records] == ["run failed: DEADLINE_EXCEEDED"]


async def test_an_engine_that_breaks_off_by_itself_has_failed(stage: Stage) -> None:
    async def break_off() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        raise asyncio.CancelledError

    await stage.run(break_off)
    assert stage.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert stage.stored.error_type == "AGENT_ERROR"


async def test_a_run_that_is_stopped_with_its_process_fails_with_what_it_had(stage: Stage) -> None:
    execution = stage.execution(Engine(forever))
    executing = asyncio.create_task(execution.execute())
    async for batch in execution.batches(idle_s=60):
        stage.streamed += batch
        if EventType.CONTENT_DELTA in stage.types:
            execution.stop()
    await executing
    assert stage.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert (stage.stored.error_type, stage.stored.output) == ("EXECUTOR_STOPPED", "so far")


async def test_a_run_ends_itself_before_its_deadline(stage: Stage) -> None:
    async def pass_the_time() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="so far")
        stage.clock.advance(0.01)
        await asyncio.Event().wait()

    deadline = AT + DEADLINE_RESERVE + timedelta(milliseconds=10)
    await stage.run(pass_the_time, deadline=deadline)
    assert stage.types == ["START", "CONTENT_DELTA", "METRICS", "ERROR"]
    assert (stage.stored.error_type, stage.stored.output) == ("DEADLINE_EXCEEDED", "so far")


async def test_an_answer_past_the_limit_fails_with_what_it_had(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_narration, "MAX_OUTPUT_BYTES", 3)

    async def long() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="é")
        yield ContentDelta(text="ab")
        yield ContentDelta(text="never")

    await stage.run(long)
    assert (stage.stored.error_type, stage.stored.output) == ("OUTPUT_TOO_LARGE", "éab")


async def test_events_are_flushed_while_the_run_goes_on(stage: Stage) -> None:
    flushed = asyncio.Event()
    loop = asyncio.get_running_loop()
    stage.log.after("append", lambda *_, **__: loop.call_soon_threadsafe(flushed.set))

    async def wait_for_flush() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        await flushed.wait()
        yield ContentDelta(text="b")

    await stage.run(wait_for_flush, QUICK)
    assert stage.stored.status is RunStatus.COMPLETED
    assert stage.written == stage.streamed


async def test_a_burst_is_flushed_by_its_size(stage: Stage) -> None:
    pace = PATIENT.model_copy(update={"flush_characters": 10})
    flushed = asyncio.Event()
    loop = asyncio.get_running_loop()
    stage.log.after("append", lambda *_, **__: loop.call_soon_threadsafe(flushed.set))

    async def burst() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="x" * 10)
        await flushed.wait()

    await stage.run(burst, pace)
    assert stage.stored.status is RunStatus.COMPLETED


async def test_a_cancel_request_comes_back_with_the_heartbeat(stage: Stage) -> None:
    closed = asyncio.Event()

    def heartbeat(call: Callable[..., AgentRun], *args: Any, **kwargs: Any) -> AgentRun:
        return call(*args, **kwargs).model_copy(update={"cancel_requested": True})

    stage.store.around("heartbeat", heartbeat)

    async def watched() -> AsyncGenerator[EngineEvent, None]:
        try:
            yield ContentDelta(text="so far")
            await asyncio.Event().wait()
        finally:
            closed.set()

    await stage.run(watched, QUICK)
    assert closed.is_set()
    assert stage.types == ["START", "CONTENT_DELTA", "METRICS", "CANCELLED"]
    assert (stage.stored.status, stage.stored.output) == (RunStatus.CANCELLED, "so far")


async def test_a_fenced_execution_stops_at_once_and_says_no_end(stage: Stage) -> None:
    async def taken_over() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        stolen = a_run(lease=Lease(executor="executor-2", until=AT))
        stage.store.runs[stolen.key] = stolen
        await asyncio.Event().wait()

    assert await stage.run(taken_over, QUICK) is None
    assert stage.types == ["START", "CONTENT_DELTA"]
    assert stage.stored.status is RunStatus.RUNNING


async def test_a_run_that_lost_its_lease_says_the_end_that_others_gave_it(stage: Stage) -> None:
    async def expired_meanwhile() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        stage.store.expire(stage.stored, at=AT)

    assert await stage.run(expired_meanwhile) is None
    assert stage.types == ["START", "CONTENT_DELTA", "ERROR"]
    assert stage.streamed[-1].id == stage.stored.last_event_id
    assert stage.stored.error_type == "LEASE_EXPIRED"


async def test_a_store_that_is_away_for_a_while_loses_nothing(stage: Stage) -> None:
    append, finish = stage.log.fails("append", times=3), stage.store.fails("finish", times=3)

    async def pause_between() -> AsyncGenerator[EngineEvent, None]:
        for number in range(20):
            yield ContentDelta(text=f"{number} ")
            await asyncio.sleep(0.002)

    await stage.run(pause_between, QUICK)
    assert (append.hits, finish.hits) == (3, 3)
    assert stage.written == stage.streamed
    assert stage.stored.status is RunStatus.COMPLETED


async def test_a_store_that_stays_away_leaves_the_end_to_the_lease(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_execution, "FINISH_PATIENCE", timedelta(seconds=0.01))
    stage.store.fails("finish")
    assert await stage.run(answer) is None
    assert EventType.STOP not in stage.types
    assert stage.stored.status is RunStatus.RUNNING


async def test_what_a_run_may_hold_in_memory_is_bounded(stage: Stage) -> None:
    stage.log.fails("append", times=5)
    pace = PATIENT.model_copy(update={"flush_characters": 500, "buffer_characters": 2_000})

    async def talk() -> AsyncGenerator[EngineEvent, None]:
        for _ in range(50):
            yield ContentDelta(text="x")

    await stage.run(talk, pace)
    assert (stage.stored.status, stage.stored.error_type) == (
        RunStatus.FAILED,
        "STORE_UNAVAILABLE",
    )
    assert stage.written == stage.streamed
    assert len(stage.stored.output or "") < 50


async def test_a_long_buffer_is_written_in_segments(stage: Stage) -> None:
    segments: list[int] = []
    stage.log.before("append", lambda _, events, **__: segments.append(len(events)))

    async def talk() -> AsyncGenerator[EngineEvent, None]:
        for _ in range(20):
            yield ContentDelta(text="x" * 1_000)

    pace = PATIENT.model_copy(update={"flush_characters": 5_000})
    await stage.run(talk, pace)
    assert stage.written == stage.streamed
    assert max(segments) <= 6


async def test_the_lease_is_renewed_while_the_end_cannot_be_written(stage: Stage) -> None:
    renewed: list[datetime] = []
    stage.store.before("heartbeat", lambda *_, lease_until: renewed.append(lease_until))
    stage.store.fails("finish", times=3)
    await stage.run(answer)
    assert len(renewed) == 3
    assert stage.stored.status is RunStatus.COMPLETED


async def test_a_run_outlives_its_listener(stage: Stage) -> None:
    heard = asyncio.Event()

    async def wait_until_alone() -> AsyncGenerator[EngineEvent, None]:
        yield ContentDelta(text="a")
        await heard.wait()
        yield ContentDelta(text="b")

    execution = stage.execution(Engine(wait_until_alone))
    executing = asyncio.create_task(execution.execute())
    listener = execution.batches(idle_s=60)
    await anext(listener)
    await listener.aclose()
    heard.set()
    await executing
    assert stage.stored.output == "ab"
    assert len(stage.written) == 5


async def test_the_lease_is_renewed_while_the_run_goes_on(stage: Stage) -> None:
    renewals: list[datetime] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heartbeat(*_: object, lease_until: datetime) -> None:
        renewals.append(lease_until)
        if len(renewals) == 3:
            loop.call_soon_threadsafe(enough.set)

    stage.store.before("heartbeat", heartbeat)

    async def until_renewed() -> AsyncGenerator[EngineEvent, None]:
        await enough.wait()
        yield ContentDelta(text="a")

    await stage.run(until_renewed, QUICK)
    assert renewals[:3] == [AT + timedelta(seconds=15)] * 3
    assert stage.stored.lease == Lease(executor=EXECUTOR, until=AT + timedelta(seconds=15))
