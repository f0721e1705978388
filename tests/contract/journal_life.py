"""A run that passes from executor to executor, as it has to be, while all earlier ones live on."""

from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import FencedError, SessionBusyError
from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, Lease, RunStatus
from agentrun.domain.steps import Answered, Step
from tests.contract.stores import Stores
from tests.runs import AT, USED, a_request, a_run, completed, deltas

NUMBERS = count(1)
ASKED_FOR = timedelta(seconds=15)
TIMES = st.integers(1, 2)
"""How often a write is made: twice where the first reply was lost."""


class JournalLife(RuleBasedStateMachine):
    """What executors do, one of which has the run, and what the others try that were lost."""

    stores: Stores

    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.zombies: list[tuple[str, int]] = []
        """Executors that were lost, and the last id that each has stored."""
        self.steps: list[Step] = []
        self.stored = [1]
        """The ids that count."""
        self.has_said_start = True
        self.asked_until = AT
        self.run = a_run(f"run-{next(NUMBERS)}", org_id=f"journal-{next(NUMBERS)}", max_attempts=99)
        self.stores.runs.start(self.run, a_request())
        self.stores.log.append(self.run.key, deltas(1, 1), at=self.now)
        self.run = self.run.without_texts()
        self.seen = [self.run]

    @property
    def executor(self) -> str:
        assert self.run.lease
        return self.run.lease.executor

    def _until(self) -> datetime:
        self.now += timedelta(seconds=20)
        return self.now + timedelta(seconds=15)

    def _is(self, run: AgentRun) -> None:
        """Take the run as it is said to be stored."""
        self.run = run
        self.seen.append(run)

    def _begin(self) -> None:
        """Say START, as the executor that has taken the run over."""
        last = self.run.last_event_id
        if not self.has_said_start:
            self.stores.log.append(self.run.key, deltas(last, last), at=self.now)
            self.stored.append(last)
        self.has_said_start = True

    @rule(events=st.integers(1, 3))
    @precondition(lambda self: not self.run.is_handed_over)
    def append(self, events: int) -> None:
        self._begin()
        first = self.stored[-1] + 1
        self.stores.log.append(self.run.key, deltas(first, first + events - 1), at=self.now)
        self.stored += range(first, first + events)

    @rule(events=st.integers(0, 3), times=TIMES)
    @precondition(lambda self: not self.run.is_handed_over)
    def keep(self, events: int, times: int) -> None:
        self._begin()
        last, until = self.stored[-1], self._until()
        said = deltas(last + 1, last + events)
        step = self._step(last + events)
        for _ in range(times):
            run = self.stores.journal.write(
                self.run.key, self.executor, step, said, at=self.now, lease_until=until
            )
        assert run == self.run.with_lease(Lease(executor=self.executor, until=until))
        self.steps.append(step)
        self.stored += [event.id for event in said]
        self._is(run)

    def _step(self, event_id: int) -> Step:
        content = Answered(message=f'"{self.executor}"')
        return Step(number=len(self.steps) + 1, event_id=event_id, content=content)

    @rule(times=TIMES, begins=st.booleans())
    def take_over(self, times: int, begins: bool) -> None:
        """Take the run over; an executor that does not begin is lost before it stores its START."""
        lease = Lease(executor=f"executor-{next(NUMBERS)}", until=self._until())
        for _ in range(times):
            run = self.stores.journal.take_over(self.run, lease, at=self.now)
        if self.run.is_handed_over:
            assert (run.attempt, run.lost_after) == (self.run.attempt, self.run.lost_after)
            assert run.last_event_id == self.stored[-1] + 1
        else:
            last, began_at = self.stored[-1], self.run.last_event_id
            self.zombies.append((self.executor, last if self.has_said_start else began_at - 1))
            assert run.attempt == self.run.attempt + 1
            assert run.lost_after == (*self.run.lost_after, last)
            beyond = began_at if began_at >= last + EVENT_ID_GAP else last
            assert run.last_event_id == beyond + EVENT_ID_GAP
        assert (run.lease, run.is_handed_over) == (lease, False)
        self.asked_until = self.now
        self.has_said_start = False
        self._is(run)
        if begins:
            self._begin()

    @rule()
    def ask(self) -> None:
        """Of many who see that the run needs an executor, one may ask for it."""
        may = [self.stores.journal.may_ask(self.run, at=self.now) for _ in range(2)]
        assert may == [self.asked_until <= self.now, False]
        if may[0]:
            self.asked_until = self.now + ASKED_FOR

    @rule(place=st.integers(0, 5))
    def ask_for_what_was(self, place: int) -> None:
        earlier = self.seen[place % len(self.seen)]
        if earlier.lease != self.run.lease:
            assert not self.stores.journal.may_ask(earlier, at=self.now + 2 * ASKED_FOR)

    @rule(times=TIMES)
    @precondition(lambda self: not self.run.is_handed_over)
    def hand_over(self, times: int) -> None:
        self._begin()
        last = self.stored[-1]
        for _ in range(times):
            self.stores.journal.hand_over(
                self.run.key, self.executor, at=self.now, last_event_id=last, used=USED
            )
        self._is(self.run.handed_over(at=self.now, last_event_id=last, used=USED))

    @rule(place=st.integers(0, 5))
    def take_over_what_was(self, place: int) -> None:
        """Take the run over as it was some time ago."""
        earlier = self.seen[place % len(self.seen)]
        # A request to cancel goes with the run.
        same = {"cancel_requested": self.run.cancel_requested}
        if earlier.model_copy(update=same) == self.run:
            return
        with pytest.raises(FencedError):
            self.stores.journal.take_over(earlier, Lease(executor="late", until=self.now), at=AT)

    @rule(place=st.integers(0, 5), events=st.integers(1, 3))
    @precondition(lambda self: bool(self.zombies))
    def come_back(self, place: int, events: int) -> None:
        """Try, as an executor that was lost, everything that it may be about to do."""
        place %= len(self.zombies)
        executor, last = self.zombies[place]
        key, until, said = self.run.key, self._until(), deltas(last + 1, last + events)
        with pytest.raises(FencedError):
            self.stores.journal.write(
                key, executor, self._step(last + events), said, at=self.now, lease_until=until
            )
        with pytest.raises(FencedError):
            self.stores.runs.heartbeat(key, executor, lease_until=until)
        with pytest.raises(FencedError):
            self.stores.journal.hand_over(key, executor, at=self.now, last_event_id=last, used=USED)
        with pytest.raises(FencedError):
            self.stores.runs.finish(key, executor, completed(last_event_id=last + 2), at=self.now)
        self.stores.runs.release(self.run.with_lease(Lease(executor=executor, until=until)))
        # Nothing keeps it from this.
        self.stores.log.append(key, said, at=self.now)
        self.zombies[place] = (executor, last + events)

    @rule()
    def cancel(self) -> None:
        self.stores.runs.request_cancel(self.run.key, at=self.now)
        self.run = self.run.model_copy(update={"cancel_requested": True})

    @rule()
    def start_another_run(self) -> None:
        lock = SessionLock(active=self.run.id, active_by=self.executor)
        other = a_run(f"run-{next(NUMBERS)}", org_id=self.run.org_id)
        with pytest.raises(SessionBusyError) as busy:
            self.stores.runs.start(other, a_request(), seen=lock)
        assert busy.value.lock == lock

    @invariant()
    def the_run_is_whose_it_is(self) -> None:
        assert self.stores.runs.get_state(self.run.key) == self.run

    @invariant()
    def all_steps_are_there_and_no_other(self) -> None:
        assert list(self.stores.journal.steps(self.run.key)) == self.steps

    @invariant()
    def what_counts_is_in_the_log(self) -> None:
        events = self.stores.log.read(self.run.key, after=0, at=self.now)
        gaps = [range(lost + 1, went_on_at) for lost, went_on_at in self.run.gaps]
        assert [e.id for e in events if all(e.id not in gap for gap in gaps)] == self.stored

    def teardown(self) -> None:
        """Whoever has the run in the end can end it."""
        if self.run.is_handed_over:
            self.take_over(1, begins=True)
        self._begin()
        last = self.stored[-1] + 2
        ended = self.stores.runs.finish(
            self.run.key, self.executor, completed(last_event_id=last), at=self.now
        )
        assert (ended.status, ended.attempt) == (RunStatus.COMPLETED, self.run.attempt)
