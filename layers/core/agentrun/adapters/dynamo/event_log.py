"""The event log in DynamoDB: one item for each segment."""

import contextlib
import json
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from agentrun.adapters.dynamo.items import (
    SEGMENTS,
    Attribute,
    Item,
    Values,
    event_id_of,
    event_sk,
    key_at,
    key_of,
    number,
    run_pk,
    seconds,
    string,
)
from agentrun.adapters.dynamo.table import ConditionFailedError, Query, Table, Write
from agentrun.domain.events import (
    RECORDED_EVENTS,
    ContentDelta,
    EventType,
    ReasoningDelta,
    RecordedEvent,
    RunEvent,
)
from agentrun.domain.runs import RunKey

RETENTION = timedelta(hours=25)
"""A day after the run's end; its first segment may be written 15 minutes earlier."""
SLACK = timedelta(days=1)
"""Within which continuing a run does not yet shorten the time that is left for its replay."""
_TWO_EVENTS = 3
"""In so many segments there are two events at least."""
_SEGMENTS_OF_RUN = f"{Attribute.PK} = :pk AND begins_with({Attribute.SK}, :events)"
_TTL = f"#{Attribute.TTL}"


class DynamoEventLog:
    """The port `EventLog` on the project's table; events outlive their run by a day."""

    def __init__(self, table: Table, *, longest_pause: timedelta = timedelta()) -> None:
        """Keep events for a day, and for as long as a run may be paused after they happened."""
        self._table = table
        self._longest_pause = longest_pause
        self._retention = RETENTION + longest_pause

    def append(
        self,
        key: RunKey,
        events: Sequence[RecordedEvent],
        *,
        at: datetime,
        supersedes: bool = False,
    ) -> None:
        """Store consecutive events as one segment."""
        until = expires_at(at, longest_pause=self._longest_pause)
        segment = segment_item(key, events, until=until)
        if supersedes:
            self._table.write(Write("Put", {**segment, Attribute.SUPERSEDING: {"BOOL": True}}))
            return
        # Costs nothing where it holds, and tells a write that comes late.
        is_first = f"attribute_not_exists({Attribute.SUPERSEDING})"
        with contextlib.suppress(ConditionFailedError):
            self._table.write(Write("Put", segment, condition=is_first))

    def read(self, key: RunKey, *, after: int, at: datetime) -> Sequence[RecordedEvent]:
        """Return the stored events with ids above `after`."""
        events: list[RecordedEvent] = []
        last = after
        # Of the first pages nothing may be left.
        for page in self._table.pages(_unexpired(key, after, at)):
            for item in page:
                for event in _said_in(item):
                    # A segment whose reply was lost is written again, with more behind it.
                    if event.id > last:
                        events.append(event)
                        last = event.id
            if events:
                break
        return events

    def keep(self, key: RunKey, *, since: datetime, at: datetime) -> None:
        """Have stored events expire no earlier than what is written at `at`."""
        if at <= since + SLACK:
            return
        needed = at + self._retention
        # All that would expire before the target, not only before what is needed: what is left of
        # a log is then always its end.
        target = needed + SLACK
        found = list(self._expiring(key, at, target))
        if any(int(item[Attribute.TTL]["N"]) < needed.timestamp() for item in found):
            for item in found:
                self._move_on(item, at, target)

    def _expiring(self, key: RunKey, at: datetime, before: datetime) -> Iterator[Item]:
        query = Query(
            _SEGMENTS_OF_RUN,
            {**_events_of(key), ":now": seconds(at), ":before": seconds(before)},
            filtered=f"{_TTL} > :now AND {_TTL} < :before",
            only=f"{Attribute.PK}, {Attribute.SK}, {_TTL}",
            consistent=False,
        )
        for page in self._table.pages(query):
            yield from page

    def _move_on(self, item: Item, at: datetime, target: datetime) -> None:
        # Not what is deleted meanwhile, which would come back without its events.
        condition = f"{_TTL} > :now AND {_TTL} < :target"
        values = {":now": seconds(at), ":target": seconds(target)}
        with contextlib.suppress(ConditionFailedError):
            self._table.write(
                Write("Update", key_of(item), f"SET {_TTL} = :target", condition, values)
            )


def expires_at(at: datetime, *, longest_pause: timedelta) -> datetime:
    """Return until when is kept what a run writes at this moment for its replay."""
    return at + RETENTION + longest_pause + SLACK


def segment_item(key: RunKey, events: Sequence[RecordedEvent], *, until: datetime) -> Item:
    """Return consecutive events as the item of one segment."""
    return {
        **key_at(run_pk(key), event_sk(events[-1].id)),
        Attribute.FIRST: number(events[0].id),
        Attribute.EVENTS: {"B": zlib.compress(to_segment(events))},
        Attribute.TTL: seconds(until),
    }


def last_event_id(table: Table, key: RunKey) -> int:
    """Return the id of the last stored event of a run; 0 where there is none."""
    query = Query(_SEGMENTS_OF_RUN, _events_of(key), only=Attribute.SK, newest_first=True)
    newest = next(table.pages(query, page_size=1))
    return event_id_of(newest[0]) if newest else 0


def newest_events(table: Table, key: RunKey) -> Sequence[RecordedEvent]:
    """Return the last stored events of a run, at least two if there are as many."""
    query = Query(_SEGMENTS_OF_RUN, _events_of(key), newest_first=True)
    # A segment has one event at least, and may be written again with more behind it.
    items = next(table.pages(query, page_size=_TWO_EVENTS))
    found = {event.id: event for item in items for event in _said_in(item)}
    return [found[event_id] for event_id in sorted(found)]


def _said_in(item: Item) -> Sequence[RecordedEvent]:
    return from_segment(zlib.decompress(item[Attribute.EVENTS]["B"]))


def _events_of(key: RunKey) -> Values:
    return {":pk": string(run_pk(key)), ":events": string(SEGMENTS)}


def _unexpired(key: RunKey, after: int, at: datetime) -> Query:
    return Query(
        f"{Attribute.PK} = :pk AND {Attribute.SK} BETWEEN :first AND :last",
        {
            ":pk": string(run_pk(key)),
            ":first": string(event_sk(after + 1)),
            ":last": string(f"{SEGMENTS}~"),
            ":now": seconds(at),
        },
        # DynamoDB deletes what has outlived its `ttl` only within days, and in any order.
        filtered=f"{_TTL} > :now",
    )


def to_segment(events: Sequence[RecordedEvent]) -> bytes:
    """
    Write events as columns of JSON, which pack to half of what rows do, or else as rows.

    `id` is the first event's; `ms` the first event's time and then what passed up to each next one;
    `said` has a text for each CONTENT_DELTA, a list of one for each REASONING_DELTA, and any other
    event as it is. Events that leave out an id are rows.
    """
    if events[-1].id - events[0].id != len(events) - 1:
        return RECORDED_EVENTS.dump_json(tuple(events))
    times = [event.timestamp_ms for event in events]
    passed = [later - earlier for earlier, later in pairwise(times)]
    ms = ",".join(map(str, [times[0], *passed]))
    said = ",".join(_said(recorded.event) for recorded in events)
    return f'{{"id":{events[0].id},"ms":[{ms}],"said":[{said}]}}'.encode()


def _said(event: RunEvent) -> str:
    match event:
        case ContentDelta():
            return json.dumps(event.text, ensure_ascii=False)
        case ReasoningDelta():
            return f"[{json.dumps(event.text, ensure_ascii=False)}]"
        case _:
            return event.model_dump_json()


def from_segment(segment: bytes) -> Sequence[RecordedEvent]:
    """Undo `to_segment`; also read the rows that earlier versions wrote."""
    if segment.startswith(b"["):
        return RECORDED_EVENTS.validate_json(segment)
    columns = json.loads(segment)
    rows = [
        {"id": event_id, "timestamp_ms": ms, "event": _event(said)}
        for event_id, (ms, said) in enumerate(
            zip(accumulate(columns["ms"]), columns["said"], strict=True), columns["id"]
        )
    ]
    return RECORDED_EVENTS.validate_python(rows)


def _event(said: object) -> object:
    match said:
        case str():
            return {"event": EventType.CONTENT_DELTA, "text": said}
        case [text]:
            return {"event": EventType.REASONING_DELTA, "text": text}
        case _:
            return said
