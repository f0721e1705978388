"""Runs and events in dictionaries."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from agentrun.adapters.text_chunks import cut_utf8
from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.events import RecordedEvent
from agentrun.domain.idempotency import IdempotencyClaim
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import (
    AgentRun,
    Lease,
    Outcome,
    RunKey,
    RunStatus,
    changes_at_end,
    expired,
)


class InMemoryEventLog:
    """The port `EventLog` in a dictionary."""

    def __init__(self) -> None:
        self.events: dict[RunKey, dict[int, RecordedEvent]] = {}

    def append(self, key: RunKey, events: Sequence[RecordedEvent], *, at: datetime) -> None:
        self.events.setdefault(key, {}).update({event.id: event for event in events})

    def read(self, key: RunKey, *, after: int) -> Sequence[RecordedEvent]:
        stored = self.events.get(key, {})
        return [stored[number] for number in sorted(stored) if number > after]


class InMemoryRunStore:
    """The port `RunStore` in dictionaries; not for use by several threads at once."""

    def __init__(self, log: InMemoryEventLog) -> None:
        self._log = log
        self._runs: dict[RunKey, AgentRun] = {}
        self._sessions: dict[tuple[str, str], tuple[str, str]] = {}
        self._claims: dict[tuple[str, str], tuple[IdempotencyClaim, AgentRun]] = {}

    def start(
        self, run: AgentRun, request: RunRequest, claim: IdempotencyClaim | None = None
    ) -> str:
        stored = self._runs.get(run.key)
        if stored is not None:
            if stored.lease == run.lease:
                return run.id
            raise ConflictError(f"There is a run '{run.id}' already.")
        first = self._claimed(run, claim) if claim else None
        if first is not None:
            return first
        session, owner = (run.org_id, run.session_id), (run.user_id, run.agent_id)
        if self._sessions.setdefault(session, owner) != owner:
            raise SessionNotFoundError(run.session_id)
        self._runs[run.key] = run
        if claim:
            self._claims[run.org_id, claim.key_hash] = (claim, run)
        return run.id

    def _claimed(self, run: AgentRun, claim: IdempotencyClaim) -> str | None:
        first, earlier = self._claims.get((run.org_id, claim.key_hash), (None, run))
        if first is None or run.created_at - earlier.created_at > timedelta(hours=24):
            return None
        if first.fingerprint != claim.fingerprint:
            raise ConflictError("The Idempotency-Key stands for another request.")
        return earlier.id

    def get(self, key: RunKey) -> AgentRun:
        try:
            return self._runs[key]
        except KeyError:
            raise RunNotFoundError(key.run_id) from None

    def get_state(self, key: RunKey) -> AgentRun:
        return _without_texts(self.get(key))

    def get_many(self, keys: Sequence[RunKey], *, with_text: bool) -> dict[RunKey, AgentRun]:
        found = {key: self._runs[key] for key in keys if key in self._runs}
        change = _cut if with_text else _without_texts
        return {key: change(run) for key, run in found.items()}

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        lease = Lease(executor=executor, until=lease_until)
        return self._change_owned(key, executor, {"lease": lease})

    def finish(self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime) -> AgentRun:
        changes = changes_at_end(outcome, at)
        stored = self._runs.get(key)
        if stored and stored.lease and stored.lease.executor == executor:
            ended_so = (stored.status, stored.last_event_id)
            if ended_so == (outcome.status, outcome.last_event_id):
                return _without_texts(stored)
        return self._change_owned(key, executor, changes, ends=True)

    def _change_owned(
        self, key: RunKey, executor: str, changes: dict[str, object], *, ends: bool = False
    ) -> AgentRun:
        run = self._runs.get(key)
        owned = run is not None and run.lease is not None and run.lease.executor == executor
        if run is None or not owned or run.status is not RunStatus.RUNNING:
            raise FencedError("Another executor owns the run, or it has ended.")
        version = run.version + 1 if ends else run.version
        self._runs[key] = run.model_copy(update=changes | {"version": version})
        return _without_texts(self._runs[key])

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        run = self._runs.get(key)
        if run is not None and run.status is RunStatus.RUNNING:
            self._runs[key] = run.model_copy(update={"cancel_requested": True})

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        stored = self.get(seen.key)
        if stored.status is RunStatus.RUNNING and stored.lease == seen.lease:
            last = max(self._log.events.get(seen.key, {}), default=0)
            stored = expired(stored, last_stored_event_id=last, at=at)
            self._runs[seen.key] = stored
        return _without_texts(stored)


def _without_texts(run: AgentRun) -> AgentRun:
    return run.model_copy(update={"input": None, "output": None})


def _cut(run: AgentRun) -> AgentRun:
    changes: dict[str, object] = {}
    for name in ("input", "output"):
        text = getattr(run, name)
        if text is not None:
            changes[name], was_cut = cut_utf8(text)
            changes[f"{name}_truncated"] = was_cut or None
    return run.model_copy(update=changes)
