"""
A small executable model of a run's life, checked against every store.

Executors start runs, write segments, renew leases, finish, crash and come back as zombies; readers
settle what is dead; callers cancel and start again with the same key. Whatever the order: a run
ends once, nothing that was acknowledged is lost, and a zombie is never heard.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from agentrun.adapters.dynamo_event_log import DynamoEventLog
from agentrun.adapters.dynamo_run_store import DynamoRunStore
from agentrun.domain.errors import FencedError
from agentrun.domain.idempotency import IdempotencyClaim
from agentrun.domain.ports import EventLog, RunStore
from agentrun.domain.runs import (
    LEASE_EXPIRED_ID_GAP,
    AgentRun,
    Lease,
    RunKey,
    RunStatus,
    lease_has_lapsed,
)
from agentrun.service.attach import RunFollower
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_status import settled_state
from agentrun.service.start_run import LEASE_DURATION
from tests.contract.conftest import Stores
from tests.dynamodb_server import dynamodb_server
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, a_request, a_run, completed, deltas, failed
from tests.tables import TABLE, client_of

RUN_NUMBERS = count(1)
KEYS = st.sampled_from(["none", "k1", "k2"])


@dataclass
class Expected:
    """What the model knows of one run."""

    key: RunKey
    executor: str
    lease_until: datetime
    status: RunStatus = RunStatus.RUNNING
    acknowledged: int = 0
    end: AgentRun | None = None
    cancel_asked: bool = False
    zombie_wrote: bool = False


class RunLife(RuleBasedStateMachine):
    """Random interleavings of all that can happen to runs."""

    runs = Bundle("runs")
    store: RunStore
    log: EventLog

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock(AT)
        self.expected: dict[RunKey, Expected] = {}
        self.claimed: dict[str, RunKey] = {}
        self.tenant = f"tenant-{next(RUN_NUMBERS)}"
        self.ports = RunPorts(self.store, self.log, ThreadPoolExecutor(1), self.clock)

    def teardown(self) -> None:
        self.ports.threads.shutdown()

    def _is_owner(self, run: Expected) -> bool:
        return run.status is RunStatus.RUNNING

    @rule(target=runs, key=KEYS)
    def start(self, key: str) -> RunKey:
        number = next(RUN_NUMBERS)
        lease = Lease(executor=f"executor-{number}", until=self.clock.now() + LEASE_DURATION)
        now = self.clock.now()
        run = a_run(
            f"run-{number}",
            org_id=self.tenant,
            lease=lease,
            created_at=now,
            updated_at=now,
            started_at=now,
        )
        claim = None if key == "none" else IdempotencyClaim(key_hash=key, fingerprint="same")
        stored_id = self.store.start(run, a_request(), claim)
        if claim and key in self.claimed:
            assert stored_id == self.claimed[key].run_id
            return self.claimed[key]
        assert stored_id == run.id
        self.claimed[key] = run.key
        self.expected[run.key] = Expected(run.key, lease.executor, lease.until)
        return run.key

    @rule(key=runs, events=st.integers(1, 4))
    def flush(self, key: RunKey, events: int) -> None:
        run = self.expected[key]
        first = run.acknowledged + 1
        self.log.append(key, deltas(first, run.acknowledged + events), at=self.clock.now())
        if self._is_owner(run):
            run.acknowledged += events
        else:
            run.zombie_wrote = True

    @rule(key=runs)
    def heartbeat(self, key: RunKey) -> None:
        run, until = self.expected[key], self.clock.now() + LEASE_DURATION
        if not self._is_owner(run):
            with pytest.raises(FencedError):
                self.store.heartbeat(key, run.executor, lease_until=until)
            return
        beaten = self.store.heartbeat(key, run.executor, lease_until=until)
        assert beaten.cancel_requested == run.cancel_asked
        run.lease_until = until

    @rule(key=runs)
    def beat_as_somebody_else(self, key: RunKey) -> None:
        with pytest.raises(FencedError):
            self.store.heartbeat(key, "nobody", lease_until=self.clock.now())

    @rule(key=runs, succeeds=st.booleans(), reply_is_lost=st.booleans())
    def finish(self, key: RunKey, succeeds: bool, reply_is_lost: bool) -> None:
        run, at = self.expected[key], self.clock.now()
        last = max(1, run.acknowledged)
        outcome = completed(last_event_id=last) if succeeds else failed(last_event_id=last)
        if not self._is_owner(run):
            ended_so = run.end and (run.end.status, run.end.last_event_id)
            if ended_so == (outcome.status, last):
                self.store.finish(key, run.executor, outcome, at=at)
            else:
                with pytest.raises(FencedError):
                    self.store.finish(key, run.executor, outcome, at=at)
            return
        run.end = self.store.finish(key, run.executor, outcome, at=at)
        run.status = outcome.status
        if reply_is_lost:
            assert self.store.finish(key, run.executor, outcome, at=at) == run.end

    @rule(key=runs)
    def ask_to_cancel(self, key: RunKey) -> None:
        self.store.request_cancel(key, at=self.clock.now())
        run = self.expected[key]
        run.cancel_asked |= self._is_owner(run)

    @rule(seconds=st.sampled_from([1, 5, 16, 18, 60]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(key=runs)
    def read(self, key: RunKey) -> None:
        run = self.expected[key]
        lapsed = (self.clock.now() - run.lease_until).total_seconds() > 2
        state = settled_state(key, self.ports)
        if run.status is RunStatus.RUNNING and lapsed:
            assert (state.status, state.error_type) == (RunStatus.FAILED, "LEASE_EXPIRED")
            assert state.last_event_id == max(1, run.acknowledged) + LEASE_EXPIRED_ID_GAP
            run.status, run.end = RunStatus.FAILED, state
        assert not lease_has_lapsed(state, self.clock.now())

    @rule(key=runs, cursor=st.integers(0, 6))
    def replay(self, key: RunKey, cursor: int) -> None:
        """A reader of an ended run sees what was acknowledged, in order, once, and its end."""
        run = self.expected[key]
        if run.end is None:
            return
        ids = asyncio.run(self._replayed(run.end, cursor))
        stored = range(cursor + 1, run.acknowledged + 1)
        start = [1] if cursor == 0 else []
        expected = [*start, *(number for number in stored if number not in start)]
        if run.end.error_type == "LEASE_EXPIRED":
            expected.append(run.end.last_event_id)
        if run.zombie_wrote:
            # What a zombie wrote over the same ids is within the run's own; beyond is not shown.
            assert all(number <= run.end.last_event_id for number in ids)
            assert set(expected) <= set(ids)
            return
        assert ids[: len(expected)] == expected

    async def _replayed(self, run: AgentRun, cursor: int) -> list[int]:
        follower = RunFollower(run, cursor, self.ports)
        return [e.id async for batch in follower.batches(idle_s=60) for e in batch]

    @rule(key=runs)
    def an_end_is_for_ever(self, key: RunKey) -> None:
        run = self.expected[key]
        if run.end is not None:
            assert self.store.get_state(key) == run.end

    @rule(key=runs)
    def what_was_acknowledged_is_there(self, key: RunKey) -> None:
        ids = [event.id for event in self.log.read(key, after=0)]
        assert ids == sorted(set(ids))
        acknowledged = self.expected[key].acknowledged
        assert ids[:acknowledged] == list(range(1, acknowledged + 1))


@pytest.fixture(scope="module")
def atomic_table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Give the adapter on a server that makes conditional writes one at a time."""
    folder: Path = tmp_path_factory.mktemp("life")
    with dynamodb_server(folder) as url:
        client = client_of(url)
        yield Stores(DynamoRunStore(client, TABLE), DynamoEventLog(client, TABLE))


def check(stores: Stores | None, *, examples: int, steps: int) -> None:
    class Life(RunLife):
        def __init__(self) -> None:
            log = InMemoryEventLog()
            fresh = stores or Stores(InMemoryRunStore(log), log)
            self.store, self.log = fresh.runs, fresh.log
            super().__init__()

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # A shrunk example over HTTP takes minutes; the whole one says enough.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_fake_keeps_to_the_model() -> None:
    check(None, examples=200, steps=40)


def test_the_dynamodb_adapter_keeps_to_the_model(atomic_table: Stores) -> None:
    check(atomic_table, examples=30, steps=30)


def test_a_lease_lapses_only_after_its_grace() -> None:
    run = a_run()
    assert run.lease is not None
    assert not lease_has_lapsed(run, run.lease.until + timedelta(seconds=2))
    assert lease_has_lapsed(run, run.lease.until + timedelta(seconds=2, milliseconds=1))
