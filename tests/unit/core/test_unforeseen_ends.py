"""Whatever raises while a run is told or recorded ends it as FAILED, durably and for its reader."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Error,
    Metrics,
    PendingApproval,
    ReasoningDelta,
    RecordedEvent,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.outcomes import Failed, Outcome
from agentrun.domain.ports import AgentTask
from agentrun.domain.runs import RunKey, RunStatus
from agentrun.domain.turns import EngineOutput, TurnEnded, TurnPaused
from agentrun.http.sse import encode_stream
from agentrun.service.run_recorder import RecordingPace
from tests.runs import AT, a_request, a_run
from tests.workshop import PATIENT, QUICK, Workshop, types

pytestmark = pytest.mark.anyio

HALF = "\ud83d"
INTERNAL = Error(message="The run failed for an internal reason.")
CALL = {"id": "c", "name": "t"}
APPROVAL = PendingApproval(id="c", tool="t", tool_name="t", arguments={"n": HALF})


class Engine:
    """The port `AgentEngine`, saying what it is given; it waits after it if it is to."""

    def __init__(self, *outputs: EngineOutput, waits: bool = False) -> None:
        self._outputs = outputs
        self._waits = waits

    async def run(
        self, task: AgentTask, *, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        for output in self._outputs:
            yield output
        if self._waits:
            await asyncio.Event().wait()


class Stage(Workshop):
    """A started run, and what its reader saw of it."""

    def __init__(self) -> None:
        super().__init__()
        self.store.start(a_run(), a_request())
        self.streamed: list[RecordedEvent] = []

    async def run(self, engine: Engine, pace: RecordingPace = PATIENT) -> Outcome | None:
        execution = self.execution(engine, pace=pace)
        executing = asyncio.create_task(execution.execute())
        async for batch in execution.batches(idle_s=60):
            self.streamed += batch
        return await executing

    def check_that_it_failed(self) -> None:
        """Check that reader, log and state agree that it has failed, once."""
        run = self.store.get(a_run().key)
        assert (run.status, run.error_type) == (RunStatus.FAILED, "INTERNAL_ERROR")
        assert run.last_event_id == self.streamed[-1].id
        written = self.logged(a_run().key)
        for events in (self.streamed, written):
            assert events[-1].event == INTERNAL
            assert types(events)[-2] == "METRICS"
            assert not {"STOP", "PAUSED", "ERROR"} & set(types(events[:-1]))
        assert written[-1] == self.streamed[-1]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    "event",
    [
        ContentDelta(text=f"hi {HALF}"),
        ReasoningDelta(text=HALF),
        ToolStart(**CALL, arguments={"text": HALF}),
        ToolStart(**CALL, arguments={HALF: 1}),
        ToolStart(**CALL | {"name": HALF}, arguments={}),
        ToolEnd(**CALL, result=[HALF]),
        ToolError(**CALL, error=HALF),
        TurnPaused(pending=(APPROVAL,), state="{}"),
        TurnEnded(followups=(HALF,)),
        Metrics(model=HALF),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_an_event_that_cannot_be_written_fails_the_run(
    stage: Stage, event: EngineEvent
) -> None:
    outcome = await stage.run(Engine(ContentDelta(text="so far"), event))
    assert isinstance(outcome, Failed)
    stage.check_that_it_failed()
    assert outcome.output == "so far"
    assert [recorded.id for recorded in stage.streamed] == [1, 2, 3, 4]
    assert stage.logged(a_run().key) == stage.streamed


def refuse(stage: Stage, refused: Callable[[Any], bool]) -> None:
    """Refuse segments that hold a certain event, as a writer would that has no form for it."""

    def has_it(_key: RunKey, events: Sequence[RecordedEvent], **_: Any) -> bool:
        return any(refused(recorded.event) for recorded in events)

    stage.log.fails("append", error=TypeError("no form for it"), when=has_it)


@pytest.mark.parametrize("pace", [PATIENT, QUICK], ids=["with the end", "meanwhile"])
async def test_a_segment_that_cannot_be_written_fails_the_run_and_costs_one_event(
    stage: Stage, pace: RecordingPace
) -> None:
    written: list[RecordedEvent] = []
    stage.log.before("append", lambda _, events, **__: written.extend(events))
    refuse(stage, lambda event: event == ContentDelta(text="b"))
    said = [ContentDelta(text=text) for text in "abc"]
    await stage.run(Engine(*said, waits=pace is QUICK), pace)
    stage.check_that_it_failed()
    assert [recorded.id for recorded in stage.logged(a_run().key)] == [1, 2, 4, 5, 6]
    # Nobody who follows the log could take it for COMPLETED meanwhile.
    assert "STOP" not in types(written)


async def test_an_end_that_has_no_form_in_the_log_fails_the_run(stage: Stage) -> None:
    refuse(stage, lambda event: event.event == "STOP")
    await stage.run(Engine(ContentDelta(text="all")))
    stage.check_that_it_failed()
    assert stage.logged(a_run().key) == stage.streamed


async def test_an_end_that_has_no_form_in_the_state_fails_the_run(stage: Stage) -> None:
    writes: list[tuple[RunKey, Sequence[RecordedEvent]]] = []

    def note(key: RunKey, events: Sequence[RecordedEvent], **_: Any) -> None:
        if "STOP" in types(events):
            writes.append((key, events))

    def is_success(_key: RunKey, _executor: str, outcome: Outcome, **_: Any) -> bool:
        return outcome.status is RunStatus.COMPLETED

    stage.log.before("append", note)
    stage.store.fails("finish", error=TypeError("no form for it"), when=is_success)
    await stage.run(Engine(ContentDelta(text="all")))
    # The log had the STOP by then: the ERROR has taken its place.
    stage.check_that_it_failed()
    assert stage.logged(a_run().key) == stage.streamed
    # A write whose reply was lost may be applied again, up to half a minute later.
    (refused,) = writes
    stage.log.append(*refused, at=AT)
    assert stage.logged(a_run().key) == stage.streamed


async def test_a_heartbeat_that_breaks_fails_the_run(stage: Stage) -> None:
    stage.store.fails("heartbeat", error=TypeError("broken"))
    await stage.run(Engine(ContentDelta(text="so far"), waits=True), QUICK)
    stage.check_that_it_failed()


@pytest.mark.parametrize("cost", [float("nan"), float("inf")])
async def test_a_cost_that_is_no_number_is_not_known(stage: Stage, cost: float) -> None:
    assert Metrics(cost_usd=cost) == Metrics()


async def test_an_execution_whose_reader_fails_ends_as_failed(stage: Stage) -> None:
    execution = stage.execution(Engine(ContentDelta(text="a"), waits=True))
    executing = asyncio.create_task(execution.execute())
    async for batch in execution.batches(idle_s=60):
        stage.streamed += batch
        if "CONTENT_DELTA" in types(stage.streamed):
            execution.fail()
    assert isinstance(await executing, Failed)
    assert types(stage.streamed)[-2:] == ["METRICS", "ERROR"]
    assert stage.store.get(a_run().key).status is RunStatus.FAILED


def unwritable(number: int, event: EngineOutput | Error) -> RecordedEvent:
    """Return an event in a form that its model would not let pass."""
    broken: Any = event.model_copy(update=dict.fromkeys(("text", "message"), HALF))
    return RecordedEvent(id=number, timestamp_ms=number, event=broken)


async def encoded(*events: RecordedEvent) -> tuple[bytes, int]:
    """Return the stream of a batch, and how often its failure was told."""

    async def batches() -> AsyncGenerator[Sequence[RecordedEvent], None]:
        yield events

    failures: list[None] = []
    stream = encode_stream(batches(), on_failure=lambda: failures.append(None))
    return b"".join([chunk async for chunk in stream]), len(failures)


async def test_an_event_that_cannot_be_sent_is_left_out_and_told() -> None:
    good = RecordedEvent(id=2, timestamp_ms=2, event=ContentDelta(text="ok"))
    stream, failures = await encoded(unwritable(1, ContentDelta(text="")), good)
    assert failures == 1
    assert stream.count(b"data:") == 1
    assert b'"data":"ok"' in stream


async def test_an_end_that_cannot_be_sent_is_an_error() -> None:
    stream, failures = await encoded(unwritable(7, Error(message="")))
    assert failures == 1
    assert b'id: 7\ndata: {"event":"ERROR","data":"The end of the run cannot be shown' in stream
