"""Segments of events as table items, ours and those of earlier versions."""

import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrun.adapters.dynamo.event_log import DynamoEventLog, from_segment, to_segment
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.events import (
    RECORDED_EVENTS,
    Cancelled,
    ContentDelta,
    Error,
    Metrics,
    Paused,
    PendingApproval,
    ReasoningDelta,
    RecordedEvent,
    RunEvent,
    Start,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)
from tests.runs import AT, a_run, deltas
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = a_run().key
CALL = PendingApproval(id="c", tool="t", tool_name="order", arguments={"n": [1, 1.5, None, "é"]})
OTHERS: tuple[RunEvent, ...] = (
    Start(run_id="r", session_id="s", agent_id="a"),
    ToolStart(id="c", name="order", arguments={"text": "CONTENT_DELTA"}),
    ToolEnd(id="c", name="order", result=["one"]),
    ToolEnd(id="c", name="order", result=None),
    ToolError(id="c", name="order", error="no"),
    Metrics(total_tokens=3, cost_usd=0.1),
    Paused(approval_id="p", approvals=(CALL,)),
    Stop(run_id="r", followups=("why?",)),
    Error(message="The model is overloaded."),
    Cancelled(reason="on request"),
)
TEXTS = st.text(st.characters(codec="utf-8"))
EVENTS = st.one_of(
    TEXTS.map(lambda text: ContentDelta(text=text)),
    TEXTS.map(lambda text: ReasoningDelta(text=text)),
    st.sampled_from(OTHERS),
)


def recorded(
    events: Sequence[RunEvent], times: Sequence[int], *, step: int = 1
) -> list[RecordedEvent]:
    return [
        RecordedEvent(id=7 + step * place, timestamp_ms=ms, event=event)
        for place, (ms, event) in enumerate(zip(times, events, strict=True))
    ]


@given(st.data(), st.integers(1, 2))
def test_any_events_come_back_from_their_segment(data: st.DataObject, step: int) -> None:
    """Clocks may be set back, and ids may be left out."""
    events = data.draw(st.lists(EVENTS, min_size=1, max_size=8))
    times = data.draw(st.lists(st.integers(0, 2**42), min_size=len(events), max_size=len(events)))
    segment = recorded(events, times, step=step)
    assert list(from_segment(to_segment(segment))) == segment


@pytest.mark.parametrize("event", OTHERS)
def test_every_event_comes_back_beside_texts(event: RunEvent) -> None:
    segment = recorded([ContentDelta(text="a"), event, ReasoningDelta(text="b")], [5, 6, 6])
    assert list(from_segment(to_segment(segment))) == segment


def test_a_text_that_is_no_unicode_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        to_segment(recorded([ContentDelta(text="\ud800")], [5]))


def test_a_log_that_an_earlier_version_began_is_read_whole(client: "DynamoDBClient") -> None:
    """It wrote the events of a segment as rows."""
    log, at = DynamoEventLog(Table(client, TABLE)), AT + timedelta(seconds=1)
    log.append(KEY, deltas(1, 3), at=AT)
    stored = client.scan(TableName=TABLE)["Items"][0]
    rows = zlib.compress(RECORDED_EVENTS.dump_json(tuple(deltas(1, 3))))
    client.put_item(TableName=TABLE, Item={**stored, "events": {"B": rows}})
    log.append(KEY, deltas(4, 6), at=AT)
    assert list(log.read(KEY, after=0, at=at)) == deltas(1, 6)


def test_columns_pack_to_half_of_rows() -> None:
    """Of a fast model, they keep what it says in 1.4 s below a write unit."""
    said = [ContentDelta(text=f" {place * 7919 % 1000}") for place in range(100)]
    segment = recorded(said, [1_795_376_483_000 + 12 * place + place % 5 for place in range(100)])
    rows = zlib.compress(RECORDED_EVENTS.dump_json(tuple(segment)))
    assert 2 * len(zlib.compress(to_segment(segment))) < len(rows)
