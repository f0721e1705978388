"""A small executable model of a run's life, to be checked against a store."""

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import SessionBusyError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.reading.follow import RunFollower
from tests.contract.life_model import UNDER_WAY, Expected
from tests.contract.life_steps import SESSIONS, ExecutorSteps
from tests.runs import a_request, a_run

NOBODYS = SessionLock(active="nobody")


class RunLife(ExecutorSteps):
    """What has to hold whatever the order."""

    runs = ExecutorSteps.runs

    @rule(key=runs, cursor=st.integers(0, 9))
    def replay(self, key: RunKey, cursor: int) -> None:
        """A reader of an ended run sees what was acknowledged, in order, once, and its end."""
        run = self.expected[key]
        if run.status in UNDER_WAY:
            return
        state = self.store.get_state(key)
        covered = max(1, run.acknowledged)
        # What was never said is no cursor that anybody has.
        cursor = min(cursor, covered)
        expected = list(range(cursor + 1, covered + 1))
        if state.last_event_id > covered:
            expected.append(state.last_event_id)
        events = asyncio.run(self._replayed(state, cursor))
        assert [event.id for event in events] == expected
        if expected and expected[-1] == state.last_event_id:
            kind = {RunStatus.COMPLETED: "STOP", RunStatus.FAILED: "ERROR"}
            assert events[-1].event.event == kind.get(state.status, state.status.value)

    async def _replayed(self, run: AgentRun, cursor: int) -> list[RecordedEvent]:
        follower = RunFollower(run, cursor, self.ports)
        return [event async for batch in follower.batches(idle_s=60) for event in batch]

    @rule(key=runs)
    def an_end_is_for_ever(self, key: RunKey) -> None:
        run = self.expected[key]
        if run.end is not None:
            assert self.store.get_state(key) == run.end

    @rule(key=runs)
    def what_was_acknowledged_is_there(self, key: RunKey) -> None:
        ids = [event.id for event in self.log.read(key, after=0, at=self.clock.now())]
        acknowledged = self.expected[key].acknowledged
        assert ids == sorted(set(ids))
        assert ids[:acknowledged] == list(range(1, acknowledged + 1))

    @rule(session=SESSIONS)
    def one_run_at_a_time_has_the_session(self, session: str) -> None:
        probe = a_run("probe", org_id=self.tenant, session_id=session)
        with pytest.raises(SessionBusyError) as busy:
            self.store.start(probe, a_request(), seen=NOBODYS)
        assert busy.value.lock == self._lock(session)
        keys = [key for key, run in self.expected.items() if run.session == session]
        states = [self.store.get_state(key) for key in keys]
        running = [run.id for run in states if run.status is RunStatus.RUNNING]
        assert running in ([], [busy.value.lock.active])

    def teardown(self) -> None:
        """Every queued run whose executor lives has its turn in the end."""
        for session in list(self.locks):
            for run_id in self._lock(session).queue:
                self._wait_for_turn(self.expected[RunKey(tenant=self.tenant, run_id=run_id)])
        super().teardown()

    def _wait_for_turn(self, run: Expected) -> None:
        if run.status is not RunStatus.QUEUED or not run.is_owned:
            return
        for ahead in self._lock(run.session).before(run.key.run_id):
            self.finish(RunKey(tenant=self.tenant, run_id=ahead), True, True, 1)
        # Those that have crashed lapse meanwhile.
        for _ in range(2):
            self.heartbeat(run.key)
            self.clock.advance(10)
        self.begin_queued(run.key, 1)
        assert self.store.get_state(run.key).status is RunStatus.RUNNING
