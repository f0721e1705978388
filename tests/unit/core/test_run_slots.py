"""Slots of executions: taking, giving back, and those that the dead leave behind."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest

from agentrun.domain.errors import RunNotFoundError, StoreUnavailableError, TooManyRunsError
from agentrun.domain.outcomes import Outcome
from agentrun.domain.quotas import OVERDUE_AFTER, RunLimits, Slot
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_slots import (
    LOOK_AGAIN_AFTER,
    MAX_LOOKS,
    MAX_REPAIRS,
    RunSlots,
    slot_at,
)
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, paused
from tests.workshop import Workshop

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=15)
NONE = RunLimits(runs_per_user=0, runs_per_tenant=0)


class WatchedStore(InMemoryRunStore):
    """Notes what is read and settled."""

    def __init__(self) -> None:
        super().__init__(InMemoryEventLog())
        self.batches: list[int] = []
        self.settled: list[str] = []
        self.vanishing: set[str] = set()

    def get_many(
        self, keys: Sequence[RunKey], *, with_text: bool, consistent: bool = False
    ) -> dict[RunKey, AgentRun]:
        assert len(set(keys)) == len(keys) <= 100
        assert not with_text
        self.batches.append(len(keys))
        return super().get_many(keys, with_text=with_text)

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        if seen.id in self.vanishing:
            del self.runs[seen.key]
            raise RunNotFoundError(seen.id)
        self.settled.append(seen.id)
        return super().expire(seen, at=at)


class Lab:
    """Runs and slots under a clock, with room for two runs unless told otherwise."""

    def __init__(self, limits: RunLimits) -> None:
        self.store = WatchedStore()
        self.quota = InMemoryRunQuota(limits)
        self.clock = FixedClock(AT)
        self._taken: dict[str, Slot] = {}
        shop = Workshop().runs
        self.slots = RunSlots(self.quota, RunPorts(self.store, shop.log, shop.threads, self.clock))

    def new(self, run_id: str, **changes: object) -> AgentRun:
        """Give a run as a start offers it at this moment."""
        now = self.clock.now()
        fields: dict[str, object] = {
            "session_id": run_id,
            "created_at": now,
            "started_at": now,
            "lease": Lease(executor=EXECUTOR, until=now + LEASE),
        }
        return a_run(run_id, **(fields | changes))

    async def take(self, run: AgentRun) -> AgentRun:
        self._taken[run.id] = await self.slots.take(run)
        return run

    async def start(self, run_id: str, **changes: object) -> AgentRun:
        """Take a slot and store the run."""
        run = await self.take(self.new(run_id, **changes))
        self.store.start(run, a_request())
        return run

    async def give_back(self, run: AgentRun, tokens: int = 0) -> None:
        await self.slots.give_back(self._taken[run.id], tokens=tokens)

    def end(self, run: AgentRun, outcome: Outcome) -> None:
        """End a run without giving its slot back, as an executor does that dies right after."""
        self.store.finish(run.key, EXECUTOR, outcome, at=self.clock.now())

    @property
    def far(self) -> datetime:
        """The end of a lease that nobody sees lapse."""
        return self.clock.now() + timedelta(days=1)

    @property
    def holders(self) -> set[str]:
        return {slot.run_id for slot in self.quota.held}


@pytest.fixture
def lab() -> Lab:
    return Lab(RunLimits(runs_per_user=2, runs_per_tenant=3))


async def test_a_start_beyond_the_limit_is_refused_while_the_others_live(lab: Lab) -> None:
    first = await lab.start("first")
    await lab.start("second")
    with pytest.raises(TooManyRunsError, match="A user may have at most 2 runs under way"):
        await lab.take(lab.new("third"))
    assert lab.holders == {"first", "second"}
    await lab.give_back(first)
    await lab.take(lab.new("third"))
    assert lab.holders == {"second", "third"}


async def test_a_run_that_waits_for_its_turn_is_under_way_too(lab: Lab) -> None:
    for name in ("first", "second"):
        await lab.start(name, status=RunStatus.QUEUED, started_at=None)
    with pytest.raises(TooManyRunsError):
        await lab.take(lab.new("third"))


async def test_a_run_that_has_ended_is_in_nobodys_way(lab: Lab) -> None:
    ended = await lab.start("ended")
    await lab.start("alive")
    lab.end(ended, completed())
    await lab.take(lab.new("new"))
    assert lab.holders == {"alive", "new"}


async def test_a_run_whose_lease_has_lapsed_is_settled_and_loses_its_slot(lab: Lab) -> None:
    lost = await lab.start("lost")
    lab.clock.advance(20)
    await lab.start("alive")
    await lab.take(lab.new("new"))
    assert lab.holders == {"alive", "new"}
    assert lab.store.get(lost.key).error_type == "LEASE_EXPIRED"


async def test_a_run_that_renews_its_lease_keeps_its_slot(lab: Lab) -> None:
    renewed = await lab.start("renewed")
    lab.clock.advance(20)
    await lab.start("alive")
    lab.store.heartbeat(renewed.key, EXECUTOR, lease_until=lab.clock.now() + LEASE)
    with pytest.raises(TooManyRunsError):
        await lab.take(lab.new("new"))
    assert lab.store.settled == []


@pytest.mark.parametrize(("seconds", "is_kept"), [(29, True), (30, False)])
async def test_a_slot_whose_run_was_never_written_is_kept_for_30_seconds(
    lab: Lab, seconds: int, is_kept: bool
) -> None:
    await lab.take(lab.new("never written"))
    await lab.take(lab.new("nor this one"))
    lab.clock.advance(seconds)
    if is_kept:
        with pytest.raises(TooManyRunsError):
            await lab.take(lab.new("new"))
    else:
        await lab.take(lab.new("new"))
        assert lab.holders == {"new"}


async def test_a_paused_run_holds_no_slot_but_one_about_to_continue_does(lab: Lab) -> None:
    run = await lab.start("paused")
    lab.end(run, paused())
    lab.clock.advance(40)
    await lab.start("alive")
    # The slot of before the pause is taken away, that of the continuation not yet written is not.
    await lab.take(lab.new("paused"))
    assert lab.holders == {"alive", "paused"}
    with pytest.raises(TooManyRunsError):
        await lab.take(lab.new("new"))
    lab.clock.advance(31)
    lab.store.heartbeat(RunKey(tenant="acme", run_id="alive"), EXECUTOR, lease_until=lab.far)
    await lab.take(lab.new("new"))
    assert lab.holders == {"alive", "new"}


async def test_a_run_that_holds_two_slots_is_read_once(lab: Lab) -> None:
    run = await lab.start("paused")
    lab.end(run, paused())
    lab.clock.advance(1)
    await lab.take(lab.new("paused"))
    with pytest.raises(TooManyRunsError):
        await lab.take(lab.new("new"))
    assert (len(lab.quota.held), lab.store.batches) == (2, [1])


async def test_a_run_that_is_deleted_while_it_is_looked_at_is_gone(lab: Lab) -> None:
    await lab.start("deleted")
    await lab.start("lost")
    lab.store.vanishing = {"deleted"}
    lab.clock.advance(40)
    await lab.take(lab.new("new"))
    assert "lost" not in lab.holders


async def test_a_refusal_settles_a_bounded_number_of_runs() -> None:
    lab = Lab(RunLimits(runs_per_user=0, runs_per_tenant=25))
    for number in range(25):
        await lab.start(f"run-{number}")
    lab.clock.advance(20)
    await lab.take(lab.new("new"))
    assert len(lab.store.settled) == MAX_REPAIRS
    assert len(lab.holders) == 25 - MAX_REPAIRS + 1


async def test_a_refusal_reads_a_bounded_number_of_runs() -> None:
    lab = Lab(RunLimits(runs_per_user=0, runs_per_tenant=300))
    for number in range(300):
        await lab.start(f"run-{number}")
    with pytest.raises(TooManyRunsError, match="The organisation may have at most 300 runs"):
        await lab.take(lab.new("new"))
    assert lab.store.batches == [100, 100]


async def test_of_many_refusals_few_are_looked_into(lab: Lab) -> None:
    first = await lab.start("first")
    await lab.start("second")
    tries = [lab.take(lab.new(f"new-{number}")) for number in range(20)]
    refused = await asyncio.gather(*tries, return_exceptions=True)
    assert {type(answer) for answer in refused} == {TooManyRunsError}
    assert lab.store.batches == [2]
    await lab.start("his", user_id="bob")
    with pytest.raises(TooManyRunsError):
        await lab.take(lab.new("his too", user_id="bob"))
    assert lab.store.batches == [2, 3]
    lab.end(first, completed())
    lab.clock.advance(LOOK_AGAIN_AFTER.total_seconds())
    await lab.take(lab.new("new"))
    assert lab.holders == {"second", "his", "new"}


async def test_what_the_dead_leave_others_may_be_faster_to_take(lab: Lab) -> None:
    for name in ("first", "second"):
        lab.end(await lab.start(name), completed())
    taken_by = count()

    def release_to_others(slots: Sequence[Slot]) -> None:
        for slot in slots:
            other = lab.new(f"{slot.run_id} {next(taken_by)}")
            lab.quota.take(slot_at(other, AT), at=AT)
            lab.store.start(other, a_request())
            lab.end(other, completed())

    lab.quota.after("release", release_to_others)
    with pytest.raises(TooManyRunsError):
        await lab.take(lab.new("slow"))
    assert len(lab.store.batches) == MAX_LOOKS


async def test_a_limit_of_time_is_not_looked_into() -> None:
    lab = Lab(RunLimits(starts_per_minute_per_user=1))
    lab.end(await lab.start("first"), completed())
    with pytest.raises(TooManyRunsError, match="at most 1 runs a minute") as refused:
        await lab.take(lab.new("second"))
    assert refused.value.retry_after_s == 55
    assert lab.store.batches == []


async def test_tokens_are_counted_when_a_slot_is_given_back() -> None:
    lab = Lab(RunLimits(tokens_per_day_per_tenant=10))
    await lab.give_back(await lab.start("first"), tokens=10)
    with pytest.raises(TooManyRunsError, match="its daily budget of 10 tokens"):
        await lab.take(lab.new("second"))


async def test_overdue_slots_of_the_dead_are_cleared_away_without_a_refusal(lab: Lab) -> None:
    await lab.start("dead")
    await lab.start("for hours", user_id="bob")
    lab.clock.advance(OVERDUE_AFTER.total_seconds() + 16)
    lab.store.heartbeat(RunKey(tenant="acme", run_id="for hours"), EXECUTOR, lease_until=lab.far)
    await lab.give_back(await lab.start("new"))
    assert lab.holders == {"for hours"}


async def test_a_store_that_is_away_refuses_a_start_and_forgives_an_end(lab: Lab) -> None:
    run = await lab.start("first")
    lab.quota.fails("take", "give_back")
    await lab.give_back(run)
    with pytest.raises(StoreUnavailableError):
        await lab.take(lab.new("second"))


async def test_nothing_is_counted_where_there_is_no_limit() -> None:
    lab = Lab(NONE)
    lab.quota.fails("take", "give_back", error=AssertionError("counted"))
    await lab.give_back(await lab.start("first"), tokens=3)
    assert lab.holders == set()
