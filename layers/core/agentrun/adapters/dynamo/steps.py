"""
Steps of runs, one compressed item each.

A step is written in one transaction with its run's header, whose executor fences it, and with the
events up to it. A step that is too large for an item lies in the bucket, under the name of its
executor, and the item says where.
"""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.event_log import expires_at, segment_item
from agentrun.adapters.dynamo.headers import run_from_header
from agentrun.adapters.dynamo.items import (
    MOST_ITEM_BYTES,
    STEPS,
    Attribute,
    Item,
    Value,
    header_key,
    instant,
    key_at,
    number,
    run_pk,
    seconds,
    step_sk,
    string,
)
from agentrun.adapters.dynamo.run_writes import (
    RUNNING_BY,
    header_update,
    held_by,
    is_owned_by,
)
from agentrun.adapters.dynamo.table import Query, Table, TransactionRefusedError, Write
from agentrun.domain.errors import EngineError, FencedError, StoreUnavailableError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.domain.steps import Continued, Step

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

_ATTEMPTS = 3
"""A lease that grows under each of them grows faster than one executor renews it."""


class DynamoSteps:
    """Writes and reads the steps of runs."""

    def __init__(
        self, table: Table, objects: "LargeObjects | None", *, longest_pause: timedelta
    ) -> None:
        """Keep steps as long as `DynamoEventLog` keeps events."""
        self._table = table
        self._objects = objects
        self._longest_pause = longest_pause

    def write(
        self,
        key: RunKey,
        executor: str,
        step: Step,
        events: Sequence[RecordedEvent] = (),
        *,
        at: datetime,
        lease_until: datetime,
    ) -> AgentRun:
        """Store a step with its events, and renew the lease; see `RunJournal.write`."""
        until = expires_at(at, longest_pause=self._longest_pause)
        parts = [self._put(key, executor, step, until)]
        if events:
            parts.append(Write("Put", segment_item(key, events, until=until)))
        return self._write(key, executor, step, parts, lease_until)

    def begin(
        self, key: RunKey, executor: str, step: Step, lease_until: datetime, start_id: int
    ) -> AgentRun:
        """Begin a continuation with its first step; see `RunStore.begin_continuation`."""
        until = expires_at(lease_until, longest_pause=self._longest_pause)
        put = self._put(key, executor, step, until)
        return self._write(key, executor, step, [put], lease_until, start_id)

    def _write(
        self,
        key: RunKey,
        executor: str,
        step: Step,
        parts: Sequence[Write],
        lease_until: datetime,
        start_id: int | None = None,
    ) -> AgentRun:
        for _ in range(_ATTEMPTS):
            header = _header(key, executor, step, lease_until, start_id)
            try:
                self._table.write_all([header, *parts])
            except TransactionRefusedError as refused:
                stored = self._owned(key, executor, refused)
                if int(stored.get(Attribute.LAST_STEP, number(0))["N"]) >= step.number:
                    return _state(stored)
                lease = run_from_header(stored).lease
                lease_until = max(lease_until, lease.until) if lease else lease_until
            else:
                return _state(self._owned(key, executor))
        raise StoreUnavailableError("The run's lease changes too fast for a step.")

    def _owned(
        self, key: RunKey, executor: str, refused: TransactionRefusedError | None = None
    ) -> Item:
        header = self._table.item(header_key(key))
        if is_owned_by(header, executor, RunStatus.RUNNING):
            return header
        raise FencedError("Another executor owns the run, or it has ended.") from refused

    def _put(self, key: RunKey, executor: str, step: Step, until: datetime) -> Write:
        item = {
            **key_at(run_pk(key), step_sk(step.number)),
            Attribute.EXECUTOR: string(executor),
            Attribute.TTL: seconds(until),
            Attribute.STEP: self._content(key, executor, step),
        }
        return Write("Put", item, condition=f"attribute_not_exists({Attribute.PK})")

    def _content(self, key: RunKey, executor: str, step: Step) -> Value:
        content = zlib.compress(step.model_dump_json().encode())
        if len(content) <= MOST_ITEM_BYTES:
            return {"B": content}
        if self._objects is None:
            message = "A step of the run is too large to be kept."
            raise EngineError(message, error_type="STEP_TOO_LARGE")
        name = f"steps/{step.number}-{executor}"
        self._objects.put(key, name, content)
        return string(name)

    def since_start(self, key: RunKey) -> Sequence[Step]:
        """Return the steps since the run, or its last continuation, began; see `RunJournal`."""
        query = Query(
            f"{Attribute.PK} = :pk AND begins_with({Attribute.SK}, :steps)",
            {":pk": string(run_pk(key)), ":steps": string(STEPS)},
            newest_first=True,
        )
        steps: list[Step] = []
        for item in (item for page in self._table.pages(query) for item in page):
            steps.append(self._step(key, item))
            if isinstance(steps[-1].content, Continued):
                break
        self._check_whole(key, steps)
        return steps[::-1]

    def _check_whole(self, key: RunKey, newest_first: Sequence[Step]) -> None:
        """Check that no step has expired: what it says was done would be done again."""
        numbers = [step.number for step in newest_first]
        last = int(self._table.item(header_key(key)).get(Attribute.LAST_STEP, number(0))["N"])
        has_first = not last or numbers[-1:] == [1] or _is_continued(newest_first)
        if not has_first or numbers != list(range(last, last - len(numbers), -1)):
            message = "The run was left for too long: what it had done is not known any more."
            raise EngineError(message, error_type="STEPS_EXPIRED")

    def _step(self, key: RunKey, item: Item) -> Step:
        content = item[Attribute.STEP]
        if "B" in content:
            packed = content["B"]
        else:
            found = self._objects.get(key, content["S"]) if self._objects else None
            if found is None:
                raise StoreUnavailableError("A step of the run cannot be read at the moment.")
            packed = found
        return Step.model_validate_json(zlib.decompress(packed))


def _is_continued(newest_first: Sequence[Step]) -> bool:
    return bool(newest_first) and isinstance(newest_first[-1].content, Continued)


def _header(
    key: RunKey, executor: str, step: Step, lease_until: datetime, start_id: int | None
) -> Write:
    """Return the write that fences a step, and whose lease is only ever a longer one."""
    changes: dict[str, Value] = {
        Attribute.LEASE_UNTIL: instant(lease_until),
        Attribute.LAST_STEP: number(step.number),
    }
    if start_id is not None:
        changes[Attribute.LAST_EVENT_ID] = number(start_id)
    return header_update(
        key,
        f"{RUNNING_BY} AND {Attribute.LEASE_UNTIL} <= :{Attribute.LEASE_UNTIL}",
        held_by(executor, RunStatus.RUNNING),
        changes,
    )


def _state(header: Item) -> AgentRun:
    return run_from_header(header).without_texts()
