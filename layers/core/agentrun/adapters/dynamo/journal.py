"""How runs pass from one executor to the next, in DynamoDB; condition expressions decide races."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo.event_log import newest_events
from agentrun.adapters.dynamo.headers import (
    is_erased,
    lost_after_attribute,
    run_from_header,
    used_attribute,
)
from agentrun.adapters.dynamo.items import (
    Attribute,
    Value,
    header_key,
    instant,
    key_at,
    number,
    request_sk,
    run_pk,
    string,
    strings,
    unpacked,
)
from agentrun.adapters.dynamo.run_writes import (
    RUNNING_BY,
    header_update,
    held_by,
    is_owned_by,
)
from agentrun.adapters.dynamo.session_lock import pass_on
from agentrun.adapters.dynamo.steps import DynamoSteps
from agentrun.adapters.dynamo.table import (
    ConditionFailedError,
    Table,
    TransactionRefusedError,
    Write,
)
from agentrun.adapters.dynamo.texts import read_text
from agentrun.domain.endings import last_said
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.events import Metrics, RecordedEvent
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import UNDER_WAY, AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.steps import Step

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

ASKED_FOR = timedelta(seconds=15)
"""How long one of those who see that a run has no executor asks for one, alone."""
_HEADER = 0
_ASKED, _LOST_BY = Attribute.ASKED_UNTIL, Attribute.LOST_BY
_HAS_LEASE = (
    f"#{Attribute.STATUS} = :seen AND {Attribute.EXECUTOR} = :by"
    f" AND {Attribute.LEASE_UNTIL} = :lease"
)
_CHANGED = "Somebody else has changed the run, or it is gone."
_NOT_OWNED = "Another executor owns the run, or it has ended."


class DynamoRunJournal:
    """The port `RunJournal` on the project's table."""

    def __init__(
        self,
        table: Table,
        objects: "LargeObjects | None" = None,
        *,
        longest_pause: timedelta = timedelta(),
    ) -> None:
        """
        Take what keeps the steps.

        Args:
            table: Where they lie.
            objects: Where those lie that are too large for the table; None: nowhere.
            longest_pause: As for `DynamoEventLog`, with whose events the steps go away.
        """
        self._table = table
        self._steps = DynamoSteps(table, objects, longest_pause=longest_pause)

    def write(
        self,
        key: RunKey,
        executor: str,
        step: Step,
        events: Sequence[RecordedEvent],
        *,
        at: datetime,
        lease_until: datetime,
    ) -> AgentRun:
        """Store a step with the events up to it."""
        return self._steps.write(key, executor, step, events, at=at, lease_until=lease_until)

    def steps(self, key: RunKey) -> Sequence[Step]:
        """Return the steps since the run, or its last continuation, began."""
        return self._steps.since_start(key)

    def request(self, key: RunKey) -> RunRequest:
        """Read what a run was asked, without the media."""
        header = self._table.item(header_key(key))
        if not header or is_erased(header):
            raise RunNotFoundError(key.run_id)
        rest = self._table.item(key_at(run_pk(key), request_sk(0))).get(Attribute.REQUEST)
        asked: dict[str, Any] = json.loads(unpacked(rest)) if rest else {}
        message = read_text(self._table, header, "input")
        webhook = run_from_header(header).webhook
        return RunRequest(**{"webhook": webhook, **asked, "message": message})

    def take_over(self, seen: AgentRun, lease: Lease, *, at: datetime) -> AgentRun:
        """Let another executor have a run that has none alive, if it is as it was seen."""
        if seen.lease is None or seen.status not in UNDER_WAY:
            raise FencedError(_CHANGED)
        # Whatever is stored later for the old executor has no step that stands for it: a step would
        # have renewed the lease.
        is_lost = seen.status is RunStatus.RUNNING and not seen.is_handed_over
        run = seen
        if is_lost:
            run = seen.lost_by(last_said(seen, newest_events(self._table, seen.key)))
        header = _taking_over(seen, seen.lease, run.taken_over(lease), at)
        try:
            self._write_with_lock(header, seen, lease.executor)
        except TransactionRefusedError as refused:
            return self._owned(seen, lease.executor, refused)
        return self._owned(seen, lease.executor)

    def _write_with_lock(self, header: Write, seen: AgentRun, executor: str) -> None:
        """
        Write a header, and the session's lock if it is the run's.

        Raises:
            TransactionRefusedError: The header is not as it has to be.
        """
        try:
            self._table.write_all([header, pass_on(seen, executor)])
        except TransactionRefusedError as refused:
            if refused.is_of(_HEADER):
                raise
            # Whether the run has the lock changes only with its header.
            self._table.write_all([header])

    def _owned(
        self, seen: AgentRun, executor: str, refused: TransactionRefusedError | None = None
    ) -> AgentRun:
        """Return the run if it is this executor's, by this call or by an earlier one."""
        header = self._table.item(header_key(seen.key))
        if not is_owned_by(header, executor, seen.status):
            raise FencedError(_CHANGED) from refused
        return run_from_header(header).without_texts()

    def hand_over(
        self, key: RunKey, executor: str, *, at: datetime, last_event_id: int, used: Metrics
    ) -> None:
        """Let go of a RUNNING run, all of whose events are stored."""
        changes: dict[str, Value] = {
            Attribute.LEASE_UNTIL: instant(at),
            Attribute.HANDED_OVER: number(1),
            Attribute.LAST_EVENT_ID: number(last_event_id),
            Attribute.USED: used_attribute(used),
        }
        operands = held_by(executor, RunStatus.RUNNING)
        try:
            self._table.write(header_update(key, RUNNING_BY, operands, changes, asks=True))
        except ConditionFailedError as failed:
            earlier = failed.item or self._table.item(header_key(key))
            is_own = earlier.get(Attribute.EXECUTOR) == string(executor)
            if not is_own or Attribute.HANDED_OVER not in earlier:
                raise FencedError(_NOT_OWNED) from failed

    def may_ask(self, seen: AgentRun, *, at: datetime) -> bool:
        """Tell whether to ask for an executor for a run now."""
        if seen.lease is None:
            return False
        condition = f"{_HAS_LEASE} AND (attribute_not_exists({_ASKED}) OR {_ASKED} <= :at)"
        operands = {**_as_seen(seen, seen.lease), ":at": instant(at)}
        changes = {_ASKED: instant(at + ASKED_FOR)}
        try:
            self._table.write(header_update(seen.key, condition, operands, changes))
        except ConditionFailedError:
            return False
        return True


def _as_seen(seen: AgentRun, lease: Lease) -> dict[str, Value]:
    return {
        ":seen": string(seen.status),
        ":by": string(lease.executor),
        ":lease": instant(lease.until),
    }


def _taking_over(seen: AgentRun, before: Lease, taken: AgentRun, at: datetime) -> Write:
    """Return the update of the header, if all that decides is as it was seen."""
    lease, also = taken.lease or before, ""
    operands = {**_as_seen(seen, before), ":seenLast": number(seen.last_event_id)}
    changes: dict[str, Value] = {
        Attribute.EXECUTOR: string(lease.executor),
        Attribute.LEASE_UNTIL: instant(lease.until),
        Attribute.LAST_EVENT_ID: number(taken.last_event_id),
    }
    if taken.lost_after != seen.lost_after:
        changes |= {
            Attribute.ATTEMPT: number(taken.attempt),
            Attribute.LOST_AFTER: lost_after_attribute(taken.lost_after),
            Attribute.UPDATED_AT: instant(at),
        }
        # Whoever deletes the run has to keep out what they write late.
        also = f"{_LOST_BY} = list_append(if_not_exists({_LOST_BY}, :nobody), :lostBy)"
        operands |= {":nobody": strings(()), ":lostBy": strings((before.executor,))}
    flag = "attribute_exists" if seen.is_handed_over else "attribute_not_exists"
    condition = (
        f"{_HAS_LEASE} AND {Attribute.LAST_EVENT_ID} = :seenLast"
        f" AND {flag}({Attribute.HANDED_OVER})"
    )
    return header_update(
        seen.key,
        condition,
        operands,
        changes,
        also=also,
        removes=(Attribute.HANDED_OVER, _ASKED),
    )
