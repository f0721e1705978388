"""Runs in DynamoDB; condition expressions decide races."""

import contextlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo import run_writes as writes
from agentrun.adapters.dynamo import session_lock
from agentrun.adapters.dynamo.event_log import last_event_id
from agentrun.adapters.dynamo.headers import attributes, is_erased, run_from_header, slot_attribute
from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    Values,
    claim_key,
    claimed_run,
    header_key,
    instant,
    lock_of,
    number,
    string,
)
from agentrun.adapters.dynamo.run_ends import RunEnds
from agentrun.adapters.dynamo.run_list import pause_entry
from agentrun.adapters.dynamo.steps import DynamoSteps
from agentrun.adapters.dynamo.table import (
    ConditionFailedError,
    Table,
    TransactionRefusedError,
    Write,
)
from agentrun.adapters.dynamo.texts import read_checkpoint, read_previews, read_text
from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.endings import EndProgress, Outcome, settled
from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    RunNotFoundError,
    SessionBusyError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.steps import Step
from agentrun.domain.turns import Checkpoint
from agentrun.domain.value import to_milliseconds

if TYPE_CHECKING:
    from agentrun.domain.ports import LargeObjects

CANCEL_ATTEMPTS = 5
"""A run that changes its status under every one of them is changing faster than runs do."""
_DELETED = "The run was stored, and it has been deleted since with its session."
_NOT_OWNED = "Another executor owns the run, or it has ended."
_STATUS, _EXECUTOR = f"#{Attribute.STATUS}", Attribute.EXECUTOR
_LEASE, _LAST = Attribute.LEASE_UNTIL, Attribute.LAST_EVENT_ID
_LEASE_IS_SHORTER = f"{_LEASE} <= :{_LEASE}"


class DynamoRunStore:
    """The port `RunStore` on the project's table."""

    def __init__(
        self,
        table: Table,
        objects: "LargeObjects | None" = None,
        *,
        longest_pause: timedelta = timedelta(),
    ) -> None:
        """Take the table; the others are as for `DynamoRunJournal`."""
        self._table = table
        self._objects = objects
        self._ends = RunEnds(table, objects)
        self._steps = DynamoSteps(table, objects, longest_pause=longest_pause)

    def start(
        self,
        run: AgentRun,
        request: RunRequest,
        claim: IdempotencyClaim | None = None,
        *,
        seen: SessionLock = FREE,
        dead: Collection[str] = (),
        fingerprint: str | None = None,
    ) -> str:
        """Store a new run with its place in its session."""
        new = writes.start_writes(
            run, request, claim, seen=seen, dead=dead, fingerprint=fingerprint
        )
        try:
            self._table.write_all(new)
        except TransactionRefusedError as refused:
            return self._stored_instead(run, claim, refused)
        return run.id

    def _stored_instead(
        self, run: AgentRun, claim: IdempotencyClaim | None, refused: TransactionRefusedError
    ) -> str:
        """Find the run that was there already, or say why there is none."""
        if refused.is_of(writes.HEADER):
            stored = refused.item(writes.HEADER) or self.read_header(run.key)
            if is_erased(stored):
                raise FencedError(_DELETED) from refused
            if run.lease and stored.get(_EXECUTOR) == string(run.lease.executor):
                # An earlier try of this very start, if nothing has happened to the run since.
                self._renew(run.key, run.status, run.lease)
                return run.id
            raise ConflictError(f"There is a run '{run.id}' already.") from refused
        if claim and refused.is_of(writes.CLAIM):
            first_id = claimed_run(refused.item(writes.CLAIM), claim)
            if first_id == run.id:
                raise FencedError(_DELETED) from refused
            return first_id
        session = refused.item(writes.SESSION) or session_lock.session_of(self._table, run)
        owner = (session.get(Attribute.USER_ID), session.get(Attribute.AGENT_ID))
        if session and owner != (string(run.user_id), string(run.agent_id)):
            raise SessionNotFoundError(run.session_id) from refused
        lock = lock_of(session)
        if lock.is_of(run.id):
            raise FencedError(_DELETED) from refused
        raise SessionBusyError(lock) from refused

    def _renew(self, key: RunKey, status: RunStatus, lease: Lease) -> None:
        """
        Renew the lease of a run that an earlier try has written, if this one's lasts longer.

        Raises:
            FencedError: The run has ended since, or gone on without this executor, or is gone.
        """
        mine = (string(status), string(lease.executor))
        renewal = Write(
            "Update",
            header_key(key),
            f"SET {_LEASE} = :until",
            f"{_STATUS} = :status AND {_EXECUTOR} = :executor AND {_LEASE} < :until",
            {":status": mine[0], ":executor": mine[1], ":until": instant(lease.until)},
            asks=True,
        )
        try:
            self._table.write(renewal)
        except ConditionFailedError as failed:
            if (failed.item.get(Attribute.STATUS), failed.item.get(_EXECUTOR)) != mine:
                raise FencedError("The run was stored, and it has ended since.") from failed

    def claimed(self, tenant: str, claim: IdempotencyClaim, *, at: datetime) -> str | None:
        """Return the id of the run that a claim stands for."""
        item = self._table.item(claim_key(tenant, claim))
        if not item or int(item[Attribute.TTL]["N"]) < int(at.timestamp()):
            return None
        return claimed_run(item, claim)

    def begin_queued(
        self, run: AgentRun, executor: str, *, seen: SessionLock, at: datetime
    ) -> AgentRun:
        """Move a QUEUED run to RUNNING and give it its session's lock."""
        now = to_milliseconds(at)
        header = writes.header_update(
            run.key,
            f"{_STATUS} = :queued AND {_EXECUTOR} = :executor",
            {":queued": string(RunStatus.QUEUED), ":executor": string(executor)},
            attributes({"status": RunStatus.RUNNING, "started_at": now, "updated_at": now}),
        )
        # Refused, perhaps by its own earlier success: the header tells.
        with contextlib.suppress(TransactionRefusedError):
            self._write_with_lock(header, run, executor, seen)
        fenced = FencedError("The run is not queued by this executor any more.")
        stored = self._stored_by(run.key, executor, fenced)
        if stored.status is not RunStatus.RUNNING:
            raise fenced
        return stored

    def resume(self, paused: AgentRun, lease: Lease, *, seen: SessionLock, at: datetime) -> None:
        """Move a PAUSED run to RUNNING and give it its session's lock."""
        changes = attributes({"status": RunStatus.RUNNING, "updated_at": to_milliseconds(at)})
        header = writes.header_update(
            paused.key,
            f"{_STATUS} = :paused AND {Attribute.VERSION} = :seenVersion AND {_LEASE} > :now"
            f" AND attribute_not_exists({Attribute.CANCEL_REQUESTED_AT})",
            {
                ":paused": string(RunStatus.PAUSED),
                ":seenVersion": number(paused.version),
                ":now": instant(at),
                ":executor": string(lease.executor),
                ":until": instant(lease.until),
            },
            changes | slot_attribute(paused),
            also=f"{_EXECUTOR} = :executor, {_LEASE} = :until",
        )
        try:
            self._write_with_lock(header, paused, lease.executor, seen)
        except TransactionRefusedError as refused:
            try:
                # Its own earlier try, perhaps, if nothing has happened to the run since.
                self._renew(paused.key, RunStatus.RUNNING, lease)
            except FencedError:
                problem = f"The run '{paused.id}' is not paused any more."
                raise ConflictError(problem) from refused

    def _write_with_lock(
        self, header: Write, run: AgentRun, executor: str, seen: SessionLock
    ) -> None:
        """
        Write a header and take its session's lock.

        Raises:
            TransactionRefusedError: The header is not as it has to be.
            SessionBusyError: The header is, but the lock is not as seen, or its holder lives.
        """
        lock = session_lock.take_lock(run, executor, seen)
        try:
            self._table.write_all([header, lock, *session_lock.holder_is_over(run, seen)])
        except TransactionRefusedError as refused:
            if refused.is_of(writes.HEADER):
                raise
            session = refused.item(writes.SESSION) or session_lock.session_of(self._table, run)
            raise SessionBusyError(lock_of(session)) from refused

    def release(self, run: AgentRun) -> str | None:
        """Let go of the run's session, if this execution holds it."""
        if run.lease is None:
            return None
        if run.status is RunStatus.QUEUED:
            return session_lock.leave(self._table, run)
        try:
            release = session_lock.release_lock(run, run.lease.executor)
            session = self._table.write(release, returning="ALL_NEW")
        except ConditionFailedError:
            return None
        return next(iter(lock_of(session).queue), None)

    def _leave_session(self, run: AgentRun) -> None:
        """Take a run that has ended without its turn out of its session; best effort."""
        with contextlib.suppress(StoreUnavailableError):
            session_lock.leave(self._table, run)

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        """Renew the lease of a QUEUED or RUNNING run."""
        condition = f"{writes.OWNED} AND {_LEASE_IS_SHORTER}"
        changes = {_LEASE: instant(lease_until)}
        header = writes.header_update(key, condition, writes.held_by(executor), changes, asks=True)
        return self._renewed(header, executor, {RunStatus.QUEUED, RunStatus.RUNNING})

    def begin_continuation(
        self,
        key: RunKey,
        executor: str,
        *,
        lease_until: datetime,
        start_id: int,
        step: Step | None = None,
    ) -> AgentRun:
        """Make START of a resumed run durable, and the step by which it goes on."""
        if step is not None:
            return self._steps.begin(key, executor, step, lease_until, start_id)
        condition = f"{writes.RUNNING_BY} AND ({_LEASE_IS_SHORTER} OR {_LAST} < :{_LAST})"
        changes = {_LEASE: instant(lease_until), _LAST: number(start_id)}
        operands = writes.held_by(executor, RunStatus.RUNNING)
        header = writes.header_update(key, condition, operands, changes, asks=True)
        return self._renewed(header, executor, {RunStatus.RUNNING})

    def _renewed(self, header: Write, executor: str, statuses: Collection[RunStatus]) -> AgentRun:
        """Write a longer lease; one that is longer already is this executor's own, later work."""
        try:
            return _state(self._table.write(header, returning="ALL_NEW"))
        except ConditionFailedError as failed:
            if failed.item and not is_erased(failed.item):
                stored = _state(failed.item)
                if stored.status in statuses and _is_led_by(stored, executor):
                    return stored
            raise FencedError(_NOT_OWNED) from failed

    def keep_texts(
        self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime, progress: EndProgress
    ) -> None:
        """Store what an end has beside its header."""
        self._ends.store_beside(key, executor, outcome, progress, at)

    def finish(
        self,
        key: RunKey,
        executor: str,
        outcome: Outcome,
        *,
        at: datetime,
        progress: EndProgress | None = None,
    ) -> AgentRun:
        """Move a QUEUED or RUNNING run to PAUSED or a terminal status."""
        end = self._ends.store_beside(key, executor, outcome, progress or EndProgress(), at)
        listed: Values = {}
        if outcome.status is RunStatus.PAUSED:
            listed = pause_entry(self._stored_by(key, executor, FencedError(_NOT_OWNED)), at)
        header = end.header(key, executor, writes.OWNED, listed=listed)
        try:
            return _state(self._table.write(header, returning="ALL_NEW"))
        except ConditionFailedError as failed:
            stored = self._stored_by(key, executor, FencedError(_NOT_OWNED))
            if (stored.status, stored.last_event_id) != (outcome.status, outcome.last_event_id):
                raise FencedError(_NOT_OWNED) from failed
            return stored

    def restore_pause(self, key: RunKey, executor: str, *, at: datetime, paused_id: int) -> None:
        """Make a resumed run PAUSED again, as it was."""
        now = to_milliseconds(at)
        header = writes.header_update(
            key,
            f"{writes.RUNNING_BY} AND attribute_exists({Attribute.PAUSED_UNTIL})",
            writes.held_by(executor, RunStatus.RUNNING),
            attributes({"status": RunStatus.PAUSED, "updated_at": now, "last_event_id": paused_id}),
            also=f"{_LEASE} = {Attribute.PAUSED_UNTIL}",
        )
        if not self._table.writes(header):
            fenced = FencedError(_NOT_OWNED)
            if self._stored_by(key, executor, fenced).status is not RunStatus.PAUSED:
                raise fenced

    def _stored_by(self, key: RunKey, executor: str, fenced: FencedError) -> AgentRun:
        """Return a run whose lease is or was this executor's, which may have fenced itself off."""
        try:
            stored = self.get_state(key)
        except RunNotFoundError:
            raise fenced from None
        if not _is_led_by(stored, executor):
            raise fenced
        return stored

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        """End a QUEUED or PAUSED run, or ask the executor of a RUNNING one to."""
        with contextlib.suppress(RunNotFoundError):
            for _ in range(CANCEL_ATTEMPTS):
                run = self.get_state(key)
                if run.status.is_terminal:
                    return
                if self._table.writes(writes.cancellation(key, run.status, at)):
                    if run.status is RunStatus.QUEUED:
                        self._leave_session(run)
                    return
            raise StoreUnavailableError("The run is changing too fast to be cancelled.")

    def settle(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """Settle a run whose lease is still the one seen."""
        if seen.lease is None or seen.status.is_terminal:
            raise FencedError("The run has ended.")
        last = last_event_id(self._table, seen.key)
        after = settled(seen, last_stored_event_id=last, at=at)
        if not self._table.writes(writes.settlement(seen, seen.lease, after)):
            raise FencedError("The run has changed since.")
        if seen.status is RunStatus.QUEUED:
            self._leave_session(seen)
        return after

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """Settle a run, where that is still to be done."""
        try:
            return self.settle(seen, at=at).without_texts()
        except FencedError:
            return self.get_state(seen.key)

    def get(self, key: RunKey) -> AgentRun:
        """Read one run whole, with all that was written before."""
        header = self.read_header(key)
        whole = {name: read_text(self._table, header, name) for name in ("input", "output")}
        return run_from_header(header).with_texts(**whole)

    def get_state(self, key: RunKey) -> AgentRun:
        """Read one run without its texts, with all that was written before."""
        return _state(self.read_header(key))

    def read_header(self, key: RunKey) -> Item:
        """Read a run's header with all that was written before; errors as in `get`."""
        header = self._table.item(header_key(key))
        if not header or is_erased(header):
            raise RunNotFoundError(key.run_id)
        return header

    def checkpoint(self, key: RunKey) -> Checkpoint:
        """Read what is needed to continue a PAUSED run."""
        text = read_checkpoint(self._table, self._objects, self.read_header(key))
        return Checkpoint.model_validate_json(text)

    def get_many(
        self, keys: Sequence[RunKey], *, with_text: bool, consistent: bool = False
    ) -> dict[RunKey, AgentRun]:
        """Read up to 100 runs with their texts cut or left out."""
        read = self._table.items([header_key(key) for key in keys], consistent=consistent)
        headers = [header for header in read if not is_erased(header)]
        if with_text:
            runs = read_previews(self._table, headers, consistent=consistent)
        else:
            runs = [_state(header) for header in headers]
        return {run.key: run for run in runs}


def _state(header: Item) -> AgentRun:
    return run_from_header(header).without_texts()


def _is_led_by(run: AgentRun, executor: str) -> bool:
    return bool(run.lease and run.lease.executor == executor and not run.is_handed_over)
