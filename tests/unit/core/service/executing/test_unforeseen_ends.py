"""Whatever raises while a run is told or recorded ends it as FAILED, durably and for its reader."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

from agentrun.domain.endings import Failed, Outcome
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
from agentrun.domain.runs import RunKey, RunStatus
from agentrun.domain.turns import TurnEnded, TurnPaused
from agentrun.http.sse import encode_stream
from agentrun.service.executing.recorder import RecordingPace
from tests.fakes.engine_outputs import EngineOutput
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import PATIENT, QUICK, StartedRig, types
from tests.runs import AT

pytestmark = pytest.mark.anyio

HALF = "\ud83d"
INTERNAL = Error(message="The run failed for an internal reason.")
CALL = {"id": "c", "name": "t"}
APPROVAL = PendingApproval(id="c", tool="t", tool_name="t", arguments={"n": HALF})


def saying(*outputs: EngineOutput, waits: bool = False) -> ScriptedEngine:
    """Return an engine that says this and, if it is to, waits after it."""
    return ScriptedEngine([*outputs, *([asyncio.Event()] if waits else [])])


def check_that_it_failed(rig: StartedRig) -> None:
    """Check that reader, log and state agree that it has failed, once."""
    assert (rig.stored.status, rig.stored.error_type) == (RunStatus.FAILED, "INTERNAL_ERROR")
    assert rig.stored.last_event_id == rig.streamed[-1].id
    for events in (rig.streamed, rig.written):
        assert events[-1].event == INTERNAL
        assert types(events)[-2] == "METRICS"
        assert not {"STOP", "PAUSED", "ERROR"} & set(types(events[:-1]))
    assert rig.written[-1] == rig.streamed[-1]


@pytest.fixture
def rig() -> StartedRig:
    return StartedRig()


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
    rig: StartedRig, event: EngineEvent
) -> None:
    outcome = await rig.run(saying(ContentDelta(text="so far"), event))
    assert isinstance(outcome, Failed)
    check_that_it_failed(rig)
    assert outcome.output == "so far"
    assert [recorded.id for recorded in rig.streamed] == [1, 2, 3, 4]
    assert rig.written == rig.streamed


def refuse(rig: StartedRig, refused: Callable[[Any], bool]) -> None:
    """Refuse segments that hold a certain event, as a writer would that has no form for it."""

    def has_it(_key: RunKey, events: Sequence[RecordedEvent], **_: Any) -> bool:
        return any(refused(recorded.event) for recorded in events)

    rig.log.fails("append", error=TypeError("no form for it"), when=has_it)


@pytest.mark.parametrize("pace", [PATIENT, QUICK], ids=["with the end", "meanwhile"])
async def test_a_segment_that_cannot_be_written_fails_the_run_and_costs_one_event(
    rig: StartedRig, pace: RecordingPace
) -> None:
    written: list[RecordedEvent] = []
    rig.log.before("append", lambda _, events, **__: written.extend(events))
    refuse(rig, lambda event: event == ContentDelta(text="b"))
    said = [ContentDelta(text=text) for text in "abc"]
    await rig.run(saying(*said, waits=pace is QUICK), pace)
    check_that_it_failed(rig)
    assert [recorded.id for recorded in rig.written] == [1, 2, 4, 5, 6]
    # Nobody who follows the log could take it for COMPLETED meanwhile.
    assert "STOP" not in types(written)


async def test_an_end_that_has_no_form_in_the_log_fails_the_run(rig: StartedRig) -> None:
    refuse(rig, lambda event: event.event == "STOP")
    await rig.run(saying(ContentDelta(text="all")))
    check_that_it_failed(rig)
    assert rig.written == rig.streamed


async def test_an_end_that_has_no_form_in_the_state_fails_the_run(rig: StartedRig) -> None:
    writes: list[tuple[RunKey, Sequence[RecordedEvent]]] = []

    def note(key: RunKey, events: Sequence[RecordedEvent], **_: Any) -> None:
        if "STOP" in types(events):
            writes.append((key, events))

    def is_success(_key: RunKey, _executor: str, outcome: Outcome, **_: Any) -> bool:
        return outcome.status is RunStatus.COMPLETED

    rig.log.before("append", note)
    rig.store.fails("finish", error=TypeError("no form for it"), when=is_success)
    await rig.run(saying(ContentDelta(text="all")))
    # The log had the STOP by then: the ERROR has taken its place.
    check_that_it_failed(rig)
    assert rig.written == rig.streamed
    # A write whose reply was lost may be applied again, up to half a minute later.
    (refused,) = writes
    rig.log.append(*refused, at=AT)
    assert rig.written == rig.streamed


async def test_a_heartbeat_that_breaks_fails_the_run(rig: StartedRig) -> None:
    rig.store.fails("heartbeat", error=TypeError("broken"))
    await rig.run(saying(ContentDelta(text="so far"), waits=True), QUICK)
    check_that_it_failed(rig)


@pytest.mark.parametrize("cost", [float("nan"), float("inf")])
async def test_a_cost_that_is_no_number_is_not_known(rig: StartedRig, cost: float) -> None:
    assert Metrics(cost_usd=cost) == Metrics()


async def test_an_execution_whose_reader_fails_ends_as_failed(rig: StartedRig) -> None:
    execution = rig.execution(saying(ContentDelta(text="a"), waits=True))
    executing = asyncio.create_task(execution.execute())
    async for batch in execution.batches(idle_s=60):
        rig.streamed += batch
        if "CONTENT_DELTA" in rig.types:
            execution.fail()
    assert isinstance(await executing, Failed)
    assert rig.types[-2:] == ["METRICS", "ERROR"]
    assert rig.stored.status is RunStatus.FAILED


def unwritable(number: int, event: EngineEvent | Error) -> RecordedEvent:
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
