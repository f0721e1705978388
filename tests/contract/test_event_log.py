"""What every `EventLog` has to keep."""

from dataclasses import replace
from datetime import timedelta

from agentrun.domain.events import ToolEnd, ToolStart
from tests.contract.conftest import Stores
from tests.runs import AT, a_run, deltas

LATER = AT + timedelta(seconds=9)


def test_events_are_read_in_order_after_a_cursor(stores: Stores) -> None:
    for first, last in ((1, 4), (5, 5), (6, 20)):
        stores.log.append(a_run().key, deltas(first, last), at=AT)
    assert stores.log.read(a_run().key, after=0) == deltas(1, 20)
    assert stores.log.read(a_run().key, after=7) == deltas(8, 20)
    assert stores.log.read(a_run().key, after=20) == []


def test_the_same_segment_again_changes_nothing(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 4), at=AT)
    stores.log.append(a_run().key, deltas(1, 4), at=LATER)
    assert stores.log.read(a_run().key, after=0) == deltas(1, 4)


def test_segments_that_overlap_are_read_once(stores: Stores) -> None:
    for first, last in ((1, 4), (1, 6), (5, 9)):
        stores.log.append(a_run().key, deltas(first, last), at=AT)
    assert stores.log.read(a_run().key, after=0) == deltas(1, 9)
    assert stores.log.read(a_run().key, after=4) == deltas(5, 9)


def test_a_segment_takes_the_place_of_one_that_ends_with_the_same_id(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 2), at=AT)
    stores.log.append(a_run().key, deltas(3, 5), at=AT)
    (other,) = deltas(5, 5)
    other = replace(other, event=ToolEnd(id="c", name="t", result=None))
    stores.log.append(a_run().key, [other], at=AT)
    assert stores.log.read(a_run().key, after=0) == [*deltas(1, 2), other]


def test_what_was_superseded_stays_so_however_late_it_comes_again(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 3), at=AT)
    (second,) = deltas(3, 3)
    second = replace(second, event=ToolEnd(id="c", name="t", result=None))
    stores.log.append(a_run().key, deltas(2, 2), at=AT, supersedes=True)
    for _ in range(2):
        stores.log.append(a_run().key, [second], at=AT, supersedes=True)
        stores.log.append(a_run().key, deltas(1, 3), at=LATER)
    assert stores.log.read(a_run().key, after=1) == [*deltas(2, 2), second]


def test_tool_events_keep_their_json_exactly(stores: Stores) -> None:
    value = {"n": 1, "x": 0.1, "none": None, "list": [True, "é\u2028"], "text": "a\r\nb"}
    start, end = deltas(1, 2)
    events = [
        replace(start, event=ToolStart(id="c", name="t", arguments=value)),
        replace(end, event=ToolEnd(id="c", name="t", result=None)),
    ]
    stores.log.append(a_run().key, events, at=AT)
    assert stores.log.read(a_run().key, after=0) == events
