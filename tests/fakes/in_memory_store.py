"""Runs, their sessions' locks and their events in dictionaries."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentrun.domain.conversations import FREE, SessionLock, session_title
from agentrun.domain.endings import (
    Completed,
    EndProgress,
    Outcome,
    PausedForDecision,
    changes_at_end,
    settled,
)
from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    RunNotFoundError,
    SessionBusyError,
    SessionNotFoundError,
)
from agentrun.domain.events import RecordedEvent
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import UNDER_WAY, AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.steps import Step
from agentrun.domain.turns import Checkpoint
from agentrun.domain.value import to_milliseconds
from tests.fakes.hooks import Hookable

_TEXTS = ("input", "input_truncated", "output", "output_truncated")
WAITING = {RunStatus.QUEUED, RunStatus.PAUSED}


class InMemoryEventLog(Hookable):
    """The port `EventLog` in a dictionary."""

    def __init__(self, *, longest_pause: timedelta = timedelta()) -> None:
        self.segments: dict[RunKey, dict[int, tuple[RecordedEvent, ...]]] = {}
        self._superseding: set[tuple[RunKey, int]] = set()
        self.expiries: dict[tuple[RunKey, int], datetime] = {}
        self._retention = timedelta(hours=25) + longest_pause

    def append(
        self,
        key: RunKey,
        events: Sequence[RecordedEvent],
        *,
        at: datetime,
        supersedes: bool = False,
    ) -> None:
        place = (key, events[-1].id)
        if supersedes:
            self._superseding.add(place)
        elif place in self._superseding:
            return
        self.segments.setdefault(key, {})[events[-1].id] = tuple(events)
        self.expiries[key, events[-1].id] = at + self._retention

    def read(self, key: RunKey, *, after: int, at: datetime) -> Sequence[RecordedEvent]:
        found: list[RecordedEvent] = []
        for last_id, segment in sorted(self.segments.get(key, {}).items()):
            if self.expiries[key, last_id] > at:
                last = found[-1].id if found else after
                found += [event for event in segment if event.id > last]
        return found

    def keep(self, key: RunKey, *, since: datetime, at: datetime) -> None:
        for last_id in self.segments.get(key, {}):
            if self.expiries[key, last_id] > at:
                until = max(self.expiries[key, last_id], at + self._retention)
                self.expiries[key, last_id] = until


@dataclass
class StoredSession:
    """A session with its lock."""

    agent_id: str
    user_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    lock: SessionLock = FREE


class InMemoryRunStore(Hookable):
    """The port `RunStore` in dictionaries; not for use by several threads at once."""

    def __init__(self, log: InMemoryEventLog) -> None:
        self.log = log
        self.runs: dict[RunKey, AgentRun] = {}
        self.erased: set[RunKey] = set()
        self.fingerprints: dict[RunKey, str | None] = {}
        self.messages: dict[RunKey, str | None] = {}
        self.sessions: dict[tuple[str, str], StoredSession] = {}
        self.checkpoints: dict[RunKey, Checkpoint] = {}
        self.requests: dict[RunKey, RunRequest] = {}
        self.steps: dict[RunKey, list[Step]] = {}
        self._claims: dict[tuple[str, str], tuple[IdempotencyClaim, AgentRun]] = {}

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
        if run.key in self.erased:
            raise FencedError("The run was stored, and it has been deleted since.")
        stored = self.runs.get(run.key)
        if stored is not None:
            if stored.lease and run.lease and stored.lease.executor == run.lease.executor:
                self._renew(run, run.lease)
                return run.id
            raise ConflictError(f"There is a run '{run.id}' already.")
        first = self.claimed(run.org_id, claim, at=run.created_at) if claim else None
        if first == run.id:
            raise FencedError("The run was stored, and it has been deleted since.")
        if first is not None:
            return first
        self._enter_session(run, request, seen, dead)
        self.runs[run.key] = run
        self.requests[run.key] = request.without_media()
        self.fingerprints[run.key] = fingerprint
        if claim:
            self._claims[run.org_id, claim.key_hash] = (claim, run)
        return run.id

    def _renew(self, run: AgentRun, lease: Lease) -> None:
        """Renew the lease of a run that an earlier try has written, if this one's lasts longer."""
        stored = self.runs[run.key]
        if stored.status is not run.status:
            raise FencedError("The run was stored, and it has ended since.")
        self.put(held_until(stored, lease.until))

    def claimed(self, tenant: str, claim: IdempotencyClaim, *, at: datetime) -> str | None:
        stored = self._claims.get((tenant, claim.key_hash))
        if stored is None or at - stored[1].created_at > timedelta(hours=24):
            return None
        first, earlier = stored
        if first.fingerprint != claim.fingerprint:
            raise ConflictError("The Idempotency-Key stands for another request.")
        return earlier.id

    def _enter_session(
        self, run: AgentRun, request: RunRequest, seen: SessionLock, dead: Collection[str]
    ) -> None:
        at = run.created_at
        fresh = StoredSession(run.agent_id, run.user_id, session_title(request.message), at, at)
        session = self.sessions.get((run.org_id, run.session_id), fresh)
        if (session.agent_id, session.user_id) != (run.agent_id, run.user_id):
            raise SessionNotFoundError(run.session_id)
        lock = session.lock
        takes_lock = run.is_background and seen.is_free_without(dead)
        if run.status is RunStatus.QUEUED and not takes_lock:
            if lock != seen if dead else lock.is_full:
                raise _busy_or_deleted(run, lock)
            queue = (*lock.without(dead).queue, run.id)
            session.lock = lock.model_copy(update={"queue": queue})
        else:
            assert run.lease is not None
            try:
                self._take(session, run, run.lease.executor, seen)
            except SessionBusyError as busy:
                raise _busy_or_deleted(run, busy.lock) from None
        session.updated_at = at
        self.sessions[run.org_id, run.session_id] = session

    def begin_queued(
        self, run: AgentRun, executor: str, *, seen: SessionLock, at: datetime
    ) -> AgentRun:
        stored = self.owned(run.key, executor, UNDER_WAY)
        if stored.status is RunStatus.QUEUED:
            self._take(self._session(stored), stored, executor, seen)
            now = to_milliseconds(at)
            changes = {"status": RunStatus.RUNNING, "started_at": now, "updated_at": now}
            stored = self.put(_next_version(stored, changes))
        return stored.without_texts()

    def _session(self, run: AgentRun) -> StoredSession | None:
        return self.sessions.get((run.org_id, run.session_id))

    def _take(
        self, session: StoredSession | None, run: AgentRun, executor: str, seen: SessionLock
    ) -> None:
        lock = session.lock if session else FREE
        holder = self.runs.get(RunKey(tenant=run.org_id, run_id=seen.active or ""))
        is_held = holder is not None and holder.id != run.id and holder.status in UNDER_WAY
        if session is None or lock != seen or is_held:
            raise SessionBusyError(lock)
        session.lock = seen.taken_by(run.id, executor)

    def release(self, run: AgentRun) -> str | None:
        session, executor = self._session(run), run.lease.executor if run.lease else None
        if session and (session.lock.active, session.lock.active_by) == (run.id, executor):
            session.lock = session.lock.released()
            return next(iter(session.lock.queue), None)
        if session and run.status is RunStatus.QUEUED:
            session.lock = session.lock.without({run.id})
        return None

    def get(self, key: RunKey) -> AgentRun:
        try:
            return self.runs[key]
        except KeyError:
            raise RunNotFoundError(key.run_id) from None

    def get_state(self, key: RunKey) -> AgentRun:
        return self.get(key).without_texts()

    def get_many(
        self, keys: Sequence[RunKey], *, with_text: bool, consistent: bool = False
    ) -> dict[RunKey, AgentRun]:
        found = {key: self.runs[key] for key in keys if key in self.runs}
        change = AgentRun.with_previews if with_text else AgentRun.without_texts
        return {key: change(run) for key, run in found.items()}

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        run = self.owned(key, executor, UNDER_WAY)
        return self.put(held_until(run, lease_until)).without_texts()

    def begin_continuation(
        self,
        key: RunKey,
        executor: str,
        *,
        lease_until: datetime,
        start_id: int,
        step: Step | None = None,
    ) -> AgentRun:
        run = held_until(self.owned(key, executor, {RunStatus.RUNNING}), lease_until)
        if step is not None:
            self.keep_step(key, step)
        return self.put(run.model_copy(update={"last_event_id": start_id})).without_texts()

    def keep_step(self, key: RunKey, step: Step) -> bool:
        """Keep a step, if it is not kept yet; tell whether it was not."""
        steps = self.steps.setdefault(key, [])
        is_new = all(kept.number != step.number for kept in steps)
        if is_new:
            steps.append(step)
        return is_new

    def keep_texts(
        self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime, progress: EndProgress
    ) -> None:
        """Keep nothing ahead: all texts are in the run."""

    def finish(
        self,
        key: RunKey,
        executor: str,
        outcome: Outcome,
        *,
        at: datetime,
        progress: EndProgress | None = None,
    ) -> AgentRun:
        stored = self.runs.get(key)
        if stored and stored.lease and stored.lease.executor == executor:
            ended_so = (stored.status, stored.last_event_id)
            if ended_so == (outcome.status, outcome.last_event_id):
                return stored.without_texts()
        run = self.owned(key, executor, UNDER_WAY)
        changes = changes_at_end(outcome, at)
        self.checkpoints.pop(key, None)
        if isinstance(outcome, PausedForDecision):
            self.checkpoints[key] = outcome.checkpoint
            changes["lease"] = Lease(executor=executor, until=outcome.paused_until)
        if isinstance(outcome, Completed):
            self.messages[key] = outcome.messages
        return self.put(_next_version(run, changes)).without_texts()

    def checkpoint(self, key: RunKey) -> Checkpoint:
        try:
            return self.checkpoints[key]
        except KeyError:
            raise RunNotFoundError(key.run_id) from None

    def resume(self, paused: AgentRun, lease: Lease, *, seen: SessionLock, at: datetime) -> None:
        run = self.runs.get(paused.key)
        if run is not None and run.lease is not None:
            if run.lease.executor == lease.executor and run.status is RunStatus.RUNNING:
                self.put(held_until(run, lease.until))
                return
            is_as_seen = run.status is RunStatus.PAUSED and run.version == paused.version
            is_to_wait = run.lease.until > to_milliseconds(at) and not run.cancel_requested
            if is_as_seen and is_to_wait:
                self._take(self._session(run), run, lease.executor, seen)
                resumed = run.resumed(lease, at=at)
                self.put(resumed.model_copy(update={"slot_until": paused.slot_until}))
                return
        raise ConflictError(f"The run '{paused.id}' is not paused any more.")

    def restore_pause(self, key: RunKey, executor: str, *, at: datetime, paused_id: int) -> None:
        run = self.owned(key, executor, {RunStatus.RUNNING, RunStatus.PAUSED})
        if run.paused_until is None:
            raise FencedError("The run has never been paused.")
        if run.status is RunStatus.RUNNING:
            self.put(run.paused_again(at=at))

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        run = self.runs.get(key)
        if run is not None and run.status is RunStatus.RUNNING:
            self.put(run.model_copy(update={"cancel_requested": True}))
        if run is not None and run.status in WAITING:
            self.put(run.cancelled(at=at, ended_at=at))
            if run.status is RunStatus.QUEUED:
                self.release(run)

    def settle(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        stored = self.runs.get(seen.key)
        if stored is None or stored.status.is_terminal or _held(stored) != _held(seen):
            raise FencedError("The run has ended, or its lease is another one.")
        last = max(self.log.segments.get(seen.key, {}), default=0)
        after = self.put(settled(stored, last_stored_event_id=last, at=at))
        if seen.status is RunStatus.QUEUED:
            self.release(stored)
        return after.model_copy(update={name: getattr(seen, name) for name in _TEXTS})

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        try:
            return self.settle(seen, at=at).without_texts()
        except FencedError:
            return self.get_state(seen.key)

    def owned(self, key: RunKey, executor: str, statuses: Collection[RunStatus]) -> AgentRun:
        run = self.runs.get(key)
        owned = run is not None and run.lease is not None and run.lease.executor == executor
        if run is None or not owned or run.is_handed_over or run.status not in statuses:
            raise FencedError("Another executor owns the run, or it has ended.")
        return run

    def put(self, run: AgentRun) -> AgentRun:
        self.runs[run.key] = run
        return run


def _busy_or_deleted(run: AgentRun, lock: SessionLock) -> SessionBusyError | FencedError:
    """Say why a run cannot enter: its session has it still where an earlier try has stored it."""
    if lock.is_of(run.id):
        return FencedError("The run was stored, and it has been deleted since.")
    return SessionBusyError(lock)


def _held(run: AgentRun) -> tuple[RunStatus, Lease | None, int, bool]:
    return run.status, run.lease, run.last_event_id, run.cancel_requested


def held_until(run: AgentRun, until: datetime) -> AgentRun:
    assert run.lease is not None
    later = max(run.lease.until, to_milliseconds(until))
    return run.with_lease(Lease(executor=run.lease.executor, until=later))


def _next_version(run: AgentRun, changes: dict[str, object]) -> AgentRun:
    return run.model_copy(update=changes | {"version": run.version + 1})
