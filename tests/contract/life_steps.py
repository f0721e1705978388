"""The steps of a run's life that executors make: in any order, twice, and too late."""

from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from agentrun.domain.endings import Outcome, terminal_event
from agentrun.domain.errors import ConflictError, FencedError, SessionBusyError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.requests import IdempotencyClaim
from agentrun.domain.runs import LEASE_DURATION, Lease, RunKey, RunStatus
from tests.contract.life_model import NUMBERS, UNDER_WAY, Expected, LifeModel
from tests.runs import a_request, a_run, completed, deltas, failed, paused

KEYS = st.sampled_from(["none", "k1", "k2"])
SESSIONS = st.sampled_from(["s1", "s2"])
TIMES = st.integers(1, 2)
"""How often a step is made: twice where the first reply was lost."""
LONGEST_PAUSE = timedelta(seconds=50)


class ExecutorSteps(LifeModel):
    """
    What executors do.

    They start runs or queue them, take turns, write segments, renew leases, pause, finish, crash
    and come back as zombies.
    """

    runs = LifeModel.runs

    @rule(target=runs, session=SESSIONS, key=KEYS, queues=st.booleans(), times=TIMES)
    def start(self, session: str, key: str, queues: bool, times: int) -> object:
        now, lease = self.clock.now(), self._lease()
        run = a_run(
            f"run-{next(NUMBERS)}",
            org_id=self.tenant,
            session_id=session,
            status=RunStatus.QUEUED if queues else RunStatus.RUNNING,
            lease=lease,
            created_at=now,
            updated_at=now,
            started_at=None if queues else now,
        )
        claim = None if key == "none" else IdempotencyClaim(key_hash=key, fingerprint="f")
        first = self.claimed.get(key)
        lock, any_live, holder_lives = self._ahead(session, run.id)
        if claim and first:
            assert self.store.start(run, a_request(), claim, seen=lock) == first.run_id
            return first
        if not queues and any_live and not holder_lives:
            # Nobody comes to the store who has seen a live run wait.
            return multiple()
        if not queues and holder_lives:
            with pytest.raises(SessionBusyError) as busy:
                self.store.start(run, a_request(), claim, seen=lock)
            assert busy.value.lock == lock
            return multiple()
        for _ in range(times):
            assert self.store.start(run, a_request(), claim, seen=lock) == run.id
        if claim:
            self.claimed[key] = run.key
        started = Expected(run.key, session, lease.executor, lease.until, run.status)
        self.expected[run.key] = started
        if queues:
            self.locks[session] = lock.model_copy(update={"queue": (*lock.queue, run.id)})
        else:
            self._take_lock(started)
        return run.key

    @rule(key=runs, times=TIMES)
    def begin_queued(self, key: RunKey, times: int) -> None:
        run, now = self.expected[key], self.clock.now()
        state = a_run(key.run_id, org_id=key.tenant)
        state = state.model_copy(update={"session_id": run.session})
        if run.status is RunStatus.RUNNING or run.closing:
            return
        lock, any_live, holder_lives = self._ahead(run.session, key.run_id)
        is_queued = run.status is RunStatus.QUEUED
        if is_queued and any_live and not holder_lives:
            return
        if is_queued and holder_lives:
            with pytest.raises(SessionBusyError):
                self.store.begin_queued(state, run.executor, seen=lock, at=now)
        elif is_queued:
            for _ in range(times):
                taken = self.store.begin_queued(state, run.executor, seen=lock, at=now)
                assert (taken.status, taken.started_at) == (RunStatus.RUNNING, now)
            run.status = RunStatus.RUNNING
            self._take_lock(run)
        else:
            with pytest.raises(FencedError):
                self.store.begin_queued(state, run.executor, seen=lock, at=now)

    @rule(key=runs, events=st.integers(1, 4))
    def flush(self, key: RunKey, events: int) -> None:
        """Write a segment, as the executor or, of a run that has ended, as a zombie."""
        run = self.expected[key]
        last = run.acknowledged + events
        if run.status is RunStatus.RUNNING and run.is_owned and run.has_begun:
            self.log.append(key, deltas(run.acknowledged + 1, last), at=self.clock.now())
            run.acknowledged = last
        elif run.end is not None:
            first = run.acknowledged + run.closing + 1
            self.log.append(key, deltas(first, first + events), at=self.clock.now())

    @rule(key=runs)
    def heartbeat(self, key: RunKey) -> None:
        run, until = self.expected[key], self.clock.now() + LEASE_DURATION
        for former in (*run.former, "nobody"):
            with pytest.raises(FencedError):
                self.store.heartbeat(key, former, lease_until=until)
        if run.status not in UNDER_WAY:
            with pytest.raises(FencedError):
                self.store.heartbeat(key, run.executor, lease_until=until)
        elif run.is_owned:
            beaten = self.store.heartbeat(key, run.executor, lease_until=until)
            assert beaten.cancel_requested == run.cancel_asked
            run.lease_until = until
            # One that was sent before, and comes only now.
            late = self.store.heartbeat(key, run.executor, lease_until=until - LEASE_DURATION)
            assert late == beaten

    def _write_end(self, run: Expected, outcome: Outcome) -> None:
        last = outcome.last_event_id
        said = (outcome.metrics, terminal_event(run.key.run_id, outcome))
        events = [
            RecordedEvent(id=number, timestamp_ms=number, event=event)
            for number, event in zip((last - 1, last), said, strict=True)
        ]
        self.log.append(run.key, events, at=self.clock.now())

    @rule(key=runs, succeeds=st.booleans(), commits=st.booleans(), times=TIMES)
    def finish(self, key: RunKey, succeeds: bool, commits: bool, times: int) -> None:
        run, at = self.expected[key], self.clock.now()
        last = max(1, run.acknowledged) + 2
        outcome = completed(last_event_id=last) if succeeds else failed(last_event_id=last)
        for former in run.former:
            with pytest.raises(FencedError):
                self.store.finish(key, former, outcome, at=at)
        if run.status not in UNDER_WAY:
            with pytest.raises(FencedError):
                self.store.finish(key, run.executor, outcome, at=at)
        elif run.is_owned and run.has_begun:
            if run.acknowledged == 0:
                self.log.append(key, deltas(1, 1), at=at)
                run.acknowledged = 1
            self._write_end(run, outcome)
            if not commits:
                run.closing = 2
                return
            ends = [self.store.finish(key, run.executor, outcome, at=at) for _ in range(times)]
            run.end, run.status, run.acknowledged = ends[-1], outcome.status, last
            assert ends[0] == ends[-1]

    @rule(key=runs, times=TIMES)
    def pause(self, key: RunKey, times: int) -> None:
        run, at = self.expected[key], self.clock.now()
        if not run.is_owned or run.acknowledged == 0 or run.status is RunStatus.QUEUED:
            return
        if not run.has_begun:
            return
        last, until = run.acknowledged + 2, at + LONGEST_PAUSE
        outcome = paused(last_event_id=last, paused_until=until)
        self._write_end(run, outcome)
        for _ in range(times):
            state = self.store.finish(key, run.executor, outcome, at=at)
        run.status, run.acknowledged, run.said = RunStatus.PAUSED, last, last
        run.paused_until = run.lease_until = until
        run.pauses.append(state)

    @rule(key=runs, times=TIMES)
    def resume(self, key: RunKey, times: int) -> None:
        run, now, lease = self.expected[key], self.clock.now(), self._lease()
        lock, any_live, holder_lives = self._ahead(run.session, key.run_id)
        state = self.store.get_state(key)
        for earlier in run.pauses:
            if earlier.version != state.version:
                with pytest.raises(ConflictError):
                    self.store.resume(earlier, lease, seen=lock, at=now)
        is_over = now >= run.lease_until or run.cancel_asked
        if run.status is not RunStatus.PAUSED or is_over:
            with pytest.raises(ConflictError):
                self.store.resume(state, lease, seen=lock, at=now)
        elif any_live and not holder_lives:
            return
        elif holder_lives:
            with pytest.raises(SessionBusyError):
                self.store.resume(state, lease, seen=lock, at=now)
        else:
            for _ in range(times):
                self.store.resume(state, lease, seen=lock, at=now)
            run.former.append(run.executor)
            run.executor, run.lease_until = lease.executor, lease.until
            run.status, run.has_begun = RunStatus.RUNNING, False
            self._take_lock(run)

    @rule(key=runs, times=TIMES)
    def begin_again(self, key: RunKey, times: int) -> None:
        """Begin a continuation: in its header first, then in its log."""
        run, until = self.expected[key], self.clock.now() + LEASE_DURATION
        start_id = run.said + 1
        for former in (*run.former, *([run.executor] if run.status not in UNDER_WAY else [])):
            with pytest.raises(FencedError):
                self.store.begin_continuation(key, former, lease_until=until, start_id=start_id)
        if run.has_begun or not run.is_owned:
            return
        for _ in range(times):
            begun = self.store.begin_continuation(
                key, run.executor, lease_until=until, start_id=start_id
            )
        assert (begun.last_event_id, begun.cancel_requested) == (start_id, run.cancel_asked)
        run.has_begun, run.lease_until = True, until

    @rule(key=runs, times=TIMES)
    def restore(self, key: RunKey, times: int) -> None:
        run, at = self.expected[key], self.clock.now()
        for former in run.former:
            with pytest.raises(FencedError):
                self.store.restore_pause(key, former, at=at, paused_id=run.said)
        if run.status is RunStatus.RUNNING and run.paused_until is not None:
            # Also where it has begun and does not know it: all replies were lost.
            if run.is_owned and run.acknowledged == run.said:
                for _ in range(times):
                    self.store.restore_pause(key, run.executor, at=at, paused_id=run.said)
                run.status, run.lease_until = RunStatus.PAUSED, run.paused_until
                run.has_begun = True
        elif run.status is not RunStatus.PAUSED:
            with pytest.raises(FencedError):
                self.store.restore_pause(key, run.executor, at=at, paused_id=run.said)

    @rule(key=runs)
    def release(self, key: RunKey) -> None:
        """Let go of the session: the executor once it has ended, earlier ones at any time."""
        run = self.expected[key]
        gone = [] if run.status in UNDER_WAY else [run.executor]
        for executor in (*run.former, *gone):
            lease = Lease(executor=executor, until=self.clock.now())
            state = a_run(key.run_id, org_id=key.tenant, session_id=run.session, lease=lease)
            self.store.release(state)
            lock = self._lock(run.session)
            if (lock.active, lock.active_by) == (key.run_id, executor):
                self.locks[run.session] = lock.released()
