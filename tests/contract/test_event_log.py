"""What every `EventLog` has to keep."""

from dataclasses import replace
from datetime import datetime, timedelta

from agentrun.domain.events import ToolEnd, ToolStart
from tests.contract.stores import Stores
from tests.runs import AT, a_run, deltas

LATER = AT + timedelta(seconds=9)
DAY = timedelta(days=1)


def test_events_are_read_in_order_after_a_cursor(stores: Stores) -> None:
    for first, last in ((1, 4), (5, 5), (6, 20)):
        stores.log.append(a_run().key, deltas(first, last), at=AT)
    assert stores.log.read(a_run().key, after=0, at=AT) == deltas(1, 20)
    assert stores.log.read(a_run().key, after=7, at=AT) == deltas(8, 20)
    assert stores.log.read(a_run().key, after=20, at=AT) == []


def test_the_same_segment_again_changes_nothing(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 4), at=AT)
    stores.log.append(a_run().key, deltas(1, 4), at=LATER)
    assert stores.log.read(a_run().key, after=0, at=AT) == deltas(1, 4)


def test_segments_that_overlap_are_read_once(stores: Stores) -> None:
    for first, last in ((1, 4), (1, 6), (5, 9)):
        stores.log.append(a_run().key, deltas(first, last), at=AT)
    assert stores.log.read(a_run().key, after=0, at=AT) == deltas(1, 9)
    assert stores.log.read(a_run().key, after=4, at=AT) == deltas(5, 9)


def test_a_segment_takes_the_place_of_one_that_ends_with_the_same_id(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 2), at=AT)
    stores.log.append(a_run().key, deltas(3, 5), at=AT)
    (other,) = deltas(5, 5)
    other = replace(other, event=ToolEnd(id="c", name="t", result=None))
    stores.log.append(a_run().key, [other], at=AT)
    assert stores.log.read(a_run().key, after=0, at=AT) == [*deltas(1, 2), other]


def test_what_was_superseded_stays_so_however_late_it_comes_again(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 3), at=AT)
    (second,) = deltas(3, 3)
    second = replace(second, event=ToolEnd(id="c", name="t", result=None))
    stores.log.append(a_run().key, deltas(2, 2), at=AT, supersedes=True)
    for _ in range(2):
        stores.log.append(a_run().key, [second], at=AT, supersedes=True)
        stores.log.append(a_run().key, deltas(1, 3), at=LATER)
    assert stores.log.read(a_run().key, after=1, at=LATER) == [*deltas(2, 2), second]


def test_tool_events_keep_their_json_exactly(stores: Stores) -> None:
    value = {"n": 1, "x": 0.1, "none": None, "list": [True, "é\u2028"], "text": "a\r\nb"}
    start, end = deltas(1, 2)
    events = [
        replace(start, event=ToolStart(id="c", name="t", arguments=value)),
        replace(end, event=ToolEnd(id="c", name="t", result=None)),
    ]
    stores.log.append(a_run().key, events, at=AT)
    assert stores.log.read(a_run().key, after=0, at=AT) == events


def read_at(stores: Stores, at: datetime) -> list[int]:
    return [event.id for event in stores.log.read(a_run().key, after=0, at=at)]


def test_what_has_expired_is_not_there(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 4), at=AT)
    stores.log.append(a_run().key, deltas(5, 9), at=AT + 5 * DAY)
    assert read_at(stores, AT + DAY) == list(range(1, 10))
    assert read_at(stores, AT + 5 * DAY) == list(range(5, 10))


def test_what_is_kept_stays_as_long_as_what_is_written_later(stores: Stores) -> None:
    for day in range(8):
        at = AT + day * DAY
        stores.log.append(a_run().key, deltas(10 * day + 1, 10 * day + 10), at=at)
        for _ in range(2):
            stores.log.keep(a_run().key, since=AT, at=at)
    assert read_at(stores, AT + 8 * DAY) == list(range(1, 81))


def test_what_has_expired_cannot_be_kept(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 4), at=AT)
    stores.log.append(a_run().key, deltas(5, 9), at=AT + 5 * DAY)
    stores.log.keep(a_run().key, since=AT, at=AT + 5 * DAY)
    assert read_at(stores, AT + 5 * DAY) == list(range(5, 10))


def test_a_log_without_events_has_nothing_to_keep(stores: Stores) -> None:
    stores.log.keep(a_run().key, since=AT, at=AT + 5 * DAY)
    assert read_at(stores, AT) == []
