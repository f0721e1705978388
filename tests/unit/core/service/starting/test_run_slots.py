"""Slots of executions: taking, giving back, and those that the dead leave behind."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest

from agentrun.domain.endings import Outcome
from agentrun.domain.errors import RunNotFoundError, StoreUnavailableError, TooManyRunsError
from agentrun.domain.quotas import OVERDUE_AFTER, RunLimits, Slot
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.service.ports import RunPorts
from agentrun.service.starting.slots import (
    LOOK_FOR_DEAD_EVERY,
    MAX_LOOKS,
    MAX_REPAIRS,
    TAKE_AGAIN_AFTER,
    RunSlots,
    slot_of,
)
from tests.fakes.clock import FixedClock
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.rig import Rig
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, paused

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=15)
NONE = RunLimits(runs_per_user=0, runs_per_tenant=0)


def refused_by_size() -> TooManyRunsError:
    """Return what a tenant is told whose slots have no room any more."""
    return TooManyRunsError("full", retry_after_s=5)


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


class SlotsRig:
    """Runs and slots under a clock, with room for two runs unless told otherwise."""

    def __init__(self, limits: RunLimits) -> None:
        self.store = WatchedStore()
        self.quota = InMemoryRunQuota(limits)
        self.clock = FixedClock(AT)
        self._taken: dict[str, Slot] = {}
        shop = Rig().runs
        ports = RunPorts(self.store, shop.log, shop.journal, shop.queue, shop.threads, self.clock)
        self.slots = RunSlots(self.quota, ports)

    def new(self, run_id: str, **changes: object) -> AgentRun:
        """Return a run as a start offers it at this moment."""
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
def rig() -> SlotsRig:
    return SlotsRig(RunLimits(runs_per_user=2, runs_per_tenant=3))


async def test_a_start_beyond_the_limit_is_refused_while_the_others_live(rig: SlotsRig) -> None:
    first = await rig.start("first")
    await rig.start("second")
    with pytest.raises(TooManyRunsError, match="A user may have at most 2 runs under way"):
        await rig.take(rig.new("third"))
    assert rig.holders == {"first", "second"}
    await rig.give_back(first)
    await rig.take(rig.new("third"))
    assert rig.holders == {"second", "third"}


async def test_a_run_that_waits_for_its_turn_is_under_way_too(rig: SlotsRig) -> None:
    for name in ("first", "second"):
        await rig.start(name, status=RunStatus.QUEUED, started_at=None)
    with pytest.raises(TooManyRunsError):
        await rig.take(rig.new("third"))


async def test_a_run_that_has_ended_is_in_nobodys_way(rig: SlotsRig) -> None:
    ended = await rig.start("ended")
    await rig.start("alive")
    rig.end(ended, completed())
    await rig.take(rig.new("new"))
    assert rig.holders == {"alive", "new"}


async def test_a_run_whose_lease_has_lapsed_is_settled_and_loses_its_slot(rig: SlotsRig) -> None:
    lost = await rig.start("lost")
    rig.clock.advance(20)
    await rig.start("alive")
    await rig.take(rig.new("new"))
    assert rig.holders == {"alive", "new"}
    assert rig.store.get(lost.key).error_type == "LEASE_EXPIRED"


async def test_a_run_that_renews_its_lease_keeps_its_slot(rig: SlotsRig) -> None:
    renewed = await rig.start("renewed")
    rig.clock.advance(20)
    await rig.start("alive")
    rig.store.heartbeat(renewed.key, EXECUTOR, lease_until=rig.clock.now() + LEASE)
    with pytest.raises(TooManyRunsError):
        await rig.take(rig.new("new"))
    assert rig.store.settled == []


@pytest.mark.parametrize(("seconds", "is_kept"), [(29, True), (30, False)])
async def test_a_slot_whose_run_was_never_written_is_kept_for_30_seconds(
    rig: SlotsRig, seconds: int, is_kept: bool
) -> None:
    await rig.take(rig.new("never written"))
    await rig.take(rig.new("nor this one"))
    rig.clock.advance(seconds)
    if is_kept:
        with pytest.raises(TooManyRunsError):
            await rig.take(rig.new("new"))
    else:
        await rig.take(rig.new("new"))
        assert rig.holders == {"new"}


async def test_a_paused_run_holds_no_slot_but_one_about_to_continue_does(rig: SlotsRig) -> None:
    run = await rig.start("paused")
    rig.end(run, paused())
    rig.clock.advance(40)
    await rig.start("alive")
    # The slot of before the pause is taken away, that of the continuation not yet written is not.
    await rig.take(rig.new("paused"))
    assert rig.holders == {"alive", "paused"}
    with pytest.raises(TooManyRunsError):
        await rig.take(rig.new("new"))
    rig.clock.advance(31)
    rig.store.heartbeat(RunKey(tenant="acme", run_id="alive"), EXECUTOR, lease_until=rig.far)
    await rig.take(rig.new("new"))
    assert rig.holders == {"alive", "new"}


async def test_a_run_that_holds_two_slots_is_read_once(rig: SlotsRig) -> None:
    run = await rig.start("paused")
    rig.end(run, paused())
    rig.clock.advance(1)
    await rig.take(rig.new("paused"))
    with pytest.raises(TooManyRunsError):
        await rig.take(rig.new("new"))
    assert (len(rig.quota.held), rig.store.batches) == (2, [1])


async def test_a_run_that_is_deleted_while_it_is_looked_at_is_gone(rig: SlotsRig) -> None:
    await rig.start("deleted")
    await rig.start("lost")
    rig.store.vanishing = {"deleted"}
    rig.clock.advance(40)
    await rig.take(rig.new("new"))
    assert "lost" not in rig.holders


async def test_a_refusal_settles_a_bounded_number_of_runs() -> None:
    rig = SlotsRig(RunLimits(runs_per_user=0, runs_per_tenant=25))
    for number in range(25):
        await rig.start(f"run-{number}")
    rig.clock.advance(20)
    await rig.take(rig.new("new"))
    assert len(rig.store.settled) == MAX_REPAIRS
    assert len(rig.holders) == 25 - MAX_REPAIRS + 1


async def test_a_refusal_reads_a_bounded_number_of_runs() -> None:
    rig = SlotsRig(RunLimits(runs_per_user=0, runs_per_tenant=300))
    for number in range(300):
        await rig.start(f"run-{number}")
    with pytest.raises(TooManyRunsError, match="The organisation may have at most 300 runs"):
        await rig.take(rig.new("new"))
    assert rig.store.batches == [100, 100]


async def test_of_many_refusals_few_are_looked_into(rig: SlotsRig) -> None:
    first = await rig.start("first")
    await rig.start("second")
    tries = [rig.take(rig.new(f"new-{number}")) for number in range(20)]
    refused = await asyncio.gather(*tries, return_exceptions=True)
    assert {type(answer) for answer in refused} == {TooManyRunsError}
    assert rig.store.batches == [2]
    await rig.start("his", user_id="bob")
    with pytest.raises(TooManyRunsError):
        await rig.take(rig.new("his too", user_id="bob"))
    assert rig.store.batches == [2, 3]
    rig.end(first, completed())
    rig.clock.advance(LOOK_FOR_DEAD_EVERY.total_seconds())
    await rig.take(rig.new("new"))
    assert rig.holders == {"second", "his", "new"}


async def test_what_the_dead_leave_others_may_be_faster_to_take(rig: SlotsRig) -> None:
    for name in ("first", "second"):
        rig.end(await rig.start(name), completed())
    taken_by = count()

    def release_to_others(slots: Sequence[Slot]) -> None:
        for slot in slots:
            other = rig.new(f"{slot.run_id} {next(taken_by)}")
            rig.quota.take(slot_of(other), at=AT)
            rig.store.start(other, a_request())
            rig.end(other, completed())

    rig.quota.after("release", release_to_others)
    with pytest.raises(TooManyRunsError):
        await rig.take(rig.new("slow"))
    assert len(rig.store.batches) == MAX_LOOKS


async def test_a_limit_of_time_is_not_looked_into() -> None:
    rig = SlotsRig(RunLimits(starts_per_minute_per_user=1))
    rig.end(await rig.start("first"), completed())
    with pytest.raises(TooManyRunsError, match="at most 1 runs a minute") as refused:
        await rig.take(rig.new("second"))
    assert refused.value.retry_after_s == 55
    assert rig.store.batches == []


async def test_tokens_are_counted_when_a_slot_is_given_back() -> None:
    rig = SlotsRig(RunLimits(tokens_per_day_per_tenant=10))
    await rig.give_back(await rig.start("first"), tokens=10)
    with pytest.raises(TooManyRunsError, match="its daily budget of 10 tokens"):
        await rig.take(rig.new("second"))


async def test_overdue_slots_of_the_dead_are_cleared_away_without_a_refusal(rig: SlotsRig) -> None:
    await rig.start("dead")
    await rig.start("for hours", user_id="bob")
    rig.clock.advance(OVERDUE_AFTER.total_seconds() + 16)
    rig.store.heartbeat(RunKey(tenant="acme", run_id="for hours"), EXECUTOR, lease_until=rig.far)
    await rig.give_back(await rig.start("new"))
    assert rig.holders == {"for hours"}


async def test_a_store_that_is_away_refuses_a_start_and_forgives_an_end(rig: SlotsRig) -> None:
    run = await rig.start("first")
    rig.quota.fails("take", "give_back")
    await rig.give_back(run)
    with pytest.raises(StoreUnavailableError):
        await rig.take(rig.new("second"))


async def test_without_limits_slots_tell_what_is_under_way() -> None:
    rig = SlotsRig(NONE)
    slot = await rig.start("first")
    assert rig.holders == {"first"}
    await rig.give_back(slot, tokens=3)
    assert rig.holders == set()


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), refused_by_size()])
async def test_without_limits_no_start_fails_for_want_of_a_slot(error: Exception) -> None:
    rig = SlotsRig(NONE)
    tried = rig.quota.fails("take", error=error)
    await rig.start("first")
    await rig.start("second")
    rig.quota.works()
    await rig.start("third")
    assert rig.holders == set()
    assert tried.hits == 1
    rig.clock.advance(TAKE_AGAIN_AFTER.total_seconds())
    await rig.start("fourth")
    assert rig.holders == {"fourth"}
