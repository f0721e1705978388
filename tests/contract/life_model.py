"""What is known of runs as they are led through their lives, and those who look at them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.ports import EventLog, RunJournal, RunStore
from agentrun.domain.runs import EVENT_ID_GAP, LEASE_DURATION, AgentRun, Lease, RunKey, RunStatus
from agentrun.service.ports import RunPorts
from agentrun.service.reading.runs import settled_state
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_queue import InMemoryRunQueue
from tests.runs import AT

NUMBERS = count(1)
UNDER_WAY = {RunStatus.QUEUED, RunStatus.RUNNING}


@dataclass
class Expected:
    """What the model knows of one run; `said` is the last event that its header covers."""

    key: RunKey
    session: str
    executor: str
    lease_until: datetime
    status: RunStatus
    acknowledged: int = 0
    said: int = 1
    pauses: list[AgentRun] = field(default_factory=list)
    former: list[str] = field(default_factory=list)
    paused_until: datetime | None = None
    has_begun: bool = True
    """Whether it says something: of a resumed run, whether its header has START."""
    end: AgentRun | None = None
    cancel_asked: bool = False
    closing: int = 0
    """Events of an end that was written but not committed: its executor has crashed."""

    @property
    def is_owned(self) -> bool:
        return self.status in UNDER_WAY and not self.closing


class LifeModel(RuleBasedStateMachine):
    """Runs as they have to be, time, and readers and callers, who may come at any moment."""

    runs = Bundle("runs")
    store: RunStore
    log: EventLog
    journal: RunJournal

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock(AT)
        self.expected: dict[RunKey, Expected] = {}
        self.claimed: dict[str, RunKey] = {}
        self.locks: dict[str, SessionLock] = {}
        self.tenant = f"tenant-{next(NUMBERS)}"
        self.ports = RunPorts(
            self.store,
            self.log,
            self.journal,
            InMemoryRunQueue(),
            ThreadPoolExecutor(1),
            self.clock,
        )

    def teardown(self) -> None:
        self.ports.threads.shutdown()

    def _lease(self) -> Lease:
        executor = f"executor-{next(NUMBERS)}"
        return Lease(executor=executor, until=self.clock.now() + LEASE_DURATION)

    def _lock(self, session: str) -> SessionLock:
        return self.locks.get(session, FREE)

    def _take_lock(self, run: Expected) -> None:
        self.locks[run.session] = self._lock(run.session).taken_by(run.key.run_id, run.executor)

    def _leave_queue(self, run: Expected) -> None:
        self.locks[run.session] = self._lock(run.session).without({run.key.run_id})

    def _ahead(self, session: str, run_id: str) -> tuple[SessionLock, bool, bool]:
        """Look at those ahead; give the lock then, whether any lives, whether its holder does."""
        any_live = self._is_any_live(self._lock(session).before(run_id))
        lock = self._lock(session)
        holder = () if lock.active in {None, run_id} else (str(lock.active),)
        return lock, any_live, self._is_any_live(holder)

    def _is_any_live(self, run_ids: Iterable[str]) -> bool:
        """Look at runs as the service does, which settles those that are dead."""
        keys = [RunKey(tenant=self.tenant, run_id=run_id) for run_id in run_ids]
        for key in keys:
            self.read(key)
        return any(self.expected[key].status in UNDER_WAY for key in keys)

    @rule(key=runs)
    def ask_to_cancel(self, key: RunKey) -> None:
        run = self.expected[key]
        self.store.request_cancel(key, at=self.clock.now())
        if run.status is RunStatus.RUNNING:
            run.cancel_asked = True
        elif run.end is None:
            self._leave_queue(run)
            run.end, run.status = self.store.get_state(key), RunStatus.CANCELLED
            assert (run.end.status, run.end.last_event_id) == (run.status, run.said + 1)

    def _pause_again(self, run: Expected, state: AgentRun) -> None:
        assert run.paused_until is not None
        run.status, run.lease_until = RunStatus.PAUSED, run.paused_until
        if run.cancel_asked or self.clock.now() > run.paused_until:
            assert state.last_event_id == run.said + 1
            run.status, run.end = RunStatus.CANCELLED, state

    @rule(seconds=st.sampled_from([1, 5, 16, 18, 60]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(key=runs)
    def read(self, key: RunKey) -> None:
        run, now = self.expected[key], self.clock.now()
        late_s = (now - run.lease_until).total_seconds()
        state = settled_state(key, self.ports)
        if run.status is RunStatus.PAUSED and (late_s > 0 or run.cancel_asked):
            why = None if run.cancel_asked else "APPROVAL_EXPIRED"
            assert (state.error_type, state.last_event_id) == (why, run.said + 1)
            run.status, run.end = RunStatus.CANCELLED, state
        elif run.status in UNDER_WAY and late_s > 2:
            stored = run.acknowledged + run.closing
            if not run.has_begun:
                self._pause_again(run, state)
            else:
                assert state.error_type == "LEASE_EXPIRED"
                assert state.last_event_id == max(1, stored) + EVENT_ID_GAP
                if run.status is RunStatus.QUEUED:
                    self._leave_queue(run)
                run.status, run.end = RunStatus.FAILED, state
        assert state.status is run.status
