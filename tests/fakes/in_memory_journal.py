"""How runs pass from one executor to the next, in dictionaries."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from agentrun.domain.endings import last_said
from agentrun.domain.errors import FencedError, RunNotFoundError
from agentrun.domain.events import Metrics, RecordedEvent
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import UNDER_WAY, AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.steps import Continued, Step
from agentrun.domain.value import to_milliseconds
from tests.fakes.hooks import Hookable
from tests.fakes.in_memory_store import InMemoryRunStore, held_until


class InMemoryRunJournal(Hookable):
    """The port `RunJournal` on the dictionaries of a store."""

    def __init__(self, store: InMemoryRunStore) -> None:
        self._store = store
        self._asked: dict[RunKey, datetime] = {}

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
        run = self._store.owned(key, executor, {RunStatus.RUNNING})
        if not self._store.keep_step(key, step):
            return run.without_texts()
        if events:
            self._store.log.append(key, events, at=at)
        return self._store.put(held_until(run, lease_until)).without_texts()

    def steps(self, key: RunKey) -> Sequence[Step]:
        steps = self._store.steps.get(key, [])
        continued = [n for n, step in enumerate(steps) if isinstance(step.content, Continued)]
        return steps[max(continued, default=0) :]

    def request(self, key: RunKey) -> RunRequest:
        if key not in self._store.runs:
            raise RunNotFoundError(key.run_id)
        asked = self._store.requests[key]
        return asked.model_copy(update={"session_id": None, "user_id": None, "org_id": None})

    def take_over(self, seen: AgentRun, lease: Lease, *, at: datetime) -> AgentRun:
        run = self._store.runs.get(seen.key)
        if run is None or run.status not in UNDER_WAY or run.status is not seen.status:
            raise FencedError("The run has ended, or it is gone.")
        if run.lease and run.lease.executor == lease.executor:
            return run.without_texts()
        if _decisive(run) != _decisive(seen):
            raise FencedError("Somebody else has changed the run.")
        self._pass_lock_on(run, lease.executor)
        self._asked.pop(run.key, None)
        if run.status is RunStatus.RUNNING and not run.is_handed_over:
            run = run.lost_by(last_said(run, self._store.log.read(run.key, after=0, at=at)))
            run = run.model_copy(update={"updated_at": to_milliseconds(at)})
        return self._store.put(run.taken_over(lease)).without_texts()

    def _pass_lock_on(self, run: AgentRun, executor: str) -> None:
        session = self._store.sessions.get((run.org_id, run.session_id))
        may_take = {run.id, None} if run.status is RunStatus.RUNNING else {run.id}
        if session and session.lock.active in may_take:
            changes = {"active": run.id, "active_by": executor}
            session.lock = session.lock.model_copy(update=changes)

    def hand_over(
        self, key: RunKey, executor: str, *, at: datetime, last_event_id: int, used: Metrics
    ) -> None:
        stored = self._store.runs.get(key)
        by = stored.lease.executor if stored and stored.lease else None
        if stored and stored.is_handed_over and by == executor:
            return
        run = self._store.owned(key, executor, {RunStatus.RUNNING})
        handed_over = run.handed_over(at=at, last_event_id=last_event_id, used=used)
        self._store.put(handed_over)

    def may_ask(self, seen: AgentRun, *, at: datetime) -> bool:
        run = self._store.runs.get(seen.key)
        if run is None or (run.status, run.lease) != (seen.status, seen.lease):
            return False
        if self._asked.get(seen.key, at) > at:
            return False
        self._asked[seen.key] = at + timedelta(seconds=15)
        return True


def _decisive(run: AgentRun) -> tuple[Lease | None, int, bool]:
    return run.lease, run.last_event_id, run.is_handed_over
