"""How much users and tenants may run at once: a slot for the executions of each run."""

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentrun.domain.endings import can_go_on, lease_has_lapsed
from agentrun.domain.errors import (
    RunNotFoundError,
    StoreUnavailableError,
    TooManyRunsError,
)
from agentrun.domain.ports import RunQuota
from agentrun.domain.quotas import Slot, user_tag
from agentrun.domain.runs import UNDER_WAY, AgentRun, RunKey, RunStatus
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.runs import (
    MAX_BATCH,
    ask_for_executor,
)

MAX_LOOKS = 3
"""How often one start looks for dead holders: another start may be faster to take their slots."""
LOOK_FOR_DEAD_EVERY = timedelta(seconds=5)
"""Bounds the cost of callers who are refused and try again at once."""
TAKE_AGAIN_AFTER = timedelta(minutes=1)
"""Without limits, no start waits for what cannot be had: a list is all that slots are for then."""
MAX_HOLDERS = 2 * MAX_BATCH
"""Bounds what one look reads; of more holders it looks at a random sample."""
MAX_REPAIRS = 10
"""Bounds the writes of one look; the next one repairs the rest."""


class RunSlots:
    """Hands out slots to executions, within the limits of a quota."""

    def __init__(self, quota: RunQuota, ports: RunPorts) -> None:
        self._quota = quota
        self._ports = ports
        self._in_vain: dict[tuple[str, str], datetime] = {}
        self._taken_again_from = datetime.min.replace(tzinfo=UTC)

    async def take(self, run: AgentRun, then: Callable[[], None] = lambda: None) -> Slot:
        """
        Take a slot for an execution of a run that is to be written right after.

        Args:
            run: The run, `holding` the slot's name.
            then: Called once the slot is taken, in the same thread, which saves a way there and
                back; not called if the slot cannot be had. Raises nothing.

        Returns:
            The slot. Give it back at the end; a slot whose holder has died becomes free by itself.
            Without any limit it only serves lists of what is under way, and may not have been had.

        Raises:
            TooManyRunsError: A limit is reached. Nothing was taken.
            StoreUnavailableError: Retrying is safe.
        """
        slot = slot_of(run)
        if not self._quota.limits.are_set:
            await self._take_if_possible(slot, then)
            return slot
        for _ in range(MAX_LOOKS):
            try:
                await self._take(slot, then)
            except TooManyRunsError as refused:
                if not await self._room_found(slot, refused.holders):
                    raise
            else:
                return slot
        await self._take(slot, then)
        return slot

    async def count(self, slot: Slot, *, tokens: int) -> bool:
        """
        Count tokens for the tenant's day during an execution, where they are limited.

        Returns:
            Whether they are counted, or need not be; if the store is not available, count them with
            the next ones.

        Raises:
            BudgetExceededError: They are counted, and the day's limit is reached.
        """
        if not self._quota.limits.tokens_per_day_per_tenant:
            return True
        count, at = self._quota.count, self._ports.clock.now()
        try:
            await in_thread(self._ports.threads, count, slot, tokens=tokens, at=at)
        except StoreUnavailableError:
            return False
        return True

    async def give_back(self, slot: Slot, *, tokens: int) -> None:
        """
        Give a slot back, whether its run has ended, is paused, or never began.

        Giving it back again changes nothing. If the store is unavailable the slot stays taken until
        somebody sees that its holder is dead.

        Args:
            slot: What `take` returned.
            tokens: How many this execution has used since it last counted some.
        """
        with suppress(StoreUnavailableError):
            await in_thread(self._ports.threads, self._give_back, slot, tokens)

    async def _take_if_possible(self, slot: Slot, then: Callable[[], None]) -> None:
        """Take a slot that is not needed, unless that was in vain a moment ago."""
        now = self._ports.clock.now()
        if now < self._taken_again_from:
            return
        try:
            await self._take(slot, then)
        except (TooManyRunsError, StoreUnavailableError):
            self._taken_again_from = now + TAKE_AGAIN_AFTER

    async def _take(self, slot: Slot, then: Callable[[], None]) -> None:
        at = self._ports.clock.now()

        def take() -> None:
            self._quota.take(slot, at=at)
            then()

        await in_thread(self._ports.threads, take)

    async def _room_found(self, slot: Slot, holders: Sequence[Slot]) -> bool:
        """Look for dead holders and free their slots, unless that has just been in vain."""
        now, whose = self._ports.clock.now(), (slot.tenant, slot.user)
        recent = {
            who: at for who, at in self._in_vain.items() if abs(now - at) < LOOK_FOR_DEAD_EVERY
        }
        if not holders or whose in recent:
            return False
        # Before the look: of many starts that are refused at once, one looks.
        self._in_vain = recent | {whose: now}
        found = await in_thread(self._ports.threads, self._release_dead, holders)
        if found:
            self._in_vain.pop(whose, None)
        return found

    def _give_back(self, slot: Slot, tokens: int) -> None:
        overdue = self._quota.give_back(slot, tokens=tokens, at=self._ports.clock.now())
        self._release_dead(overdue)

    def _release_dead(self, holders: Sequence[Slot]) -> bool:
        """Free the slots of the first dead holders that are found; tell whether there are any."""
        chosen = random.sample(holders, min(len(holders), MAX_HOLDERS))
        oldest_first = sorted(chosen, key=lambda slot: slot.lease_until)
        for start in range(0, len(oldest_first), MAX_BATCH):
            dead = _dead_among(oldest_first[start : start + MAX_BATCH], self._ports)
            if dead:
                self._quota.release(dead)
                return True
        return False


@dataclass
class NewSlot:
    """A slot that has been taken; unless it turns out to be needed, it is given back."""

    slot: Slot
    is_needed: bool = False


@asynccontextmanager
async def slot_of_new(
    run: AgentRun, slots: RunSlots, then: Callable[[], None] = lambda: None
) -> AsyncGenerator[NewSlot, None]:
    """
    Take a slot for a run that is about to be stored or continued; give it back if that fails.

    `then` is as for `RunSlots.take`.

    Raises:
        TooManyRunsError: A limit is reached. Nothing was taken.
        StoreUnavailableError: Retrying is safe.
    """
    new = NewSlot(await slots.take(run, then))
    try:
        yield new
    finally:
        if not new.is_needed:
            await slots.give_back(new.slot, tokens=0)


def slot_of(run: AgentRun) -> Slot:
    """Return the slot that the executions of a run hold; `holding` has given it its name."""
    return Slot(
        tenant=run.org_id,
        user=user_tag(run.user_id),
        run_id=run.id,
        lease_until=run.slot_until or (run.lease.until if run.lease else run.created_at),
    )


def _dead_among(slots: Sequence[Slot], ports: RunPorts) -> list[Slot]:
    keys = list(dict.fromkeys(_key(slot) for slot in slots))
    found = ports.store.get_many(keys, with_text=False)
    alone = [run for run in found.values() if _is_alone(run, ports)]
    for run in [run for run in alone if can_go_on(run)][:MAX_REPAIRS]:
        ask_for_executor(run, ports)
    for run in [run for run in alone if not can_go_on(run)][:MAX_REPAIRS]:
        # Its executor may come back until its end is written.
        found[run.key] = _settled(run, ports)
    return [slot for slot in slots if _is_dead(slot, found.get(_key(slot)), ports)]


def _key(slot: Slot) -> RunKey:
    return RunKey(tenant=slot.tenant, run_id=slot.run_id)


def _is_alone(run: AgentRun, ports: RunPorts) -> bool:
    return run.status in UNDER_WAY and lease_has_lapsed(run, ports.clock.now())


def _settled(run: AgentRun, ports: RunPorts) -> AgentRun:
    try:
        return ports.store.expire(run, at=ports.clock.now())
    except RunNotFoundError:
        # Its session was deleted; the next look does not find the run.
        return run


def _is_dead(slot: Slot, run: AgentRun | None, ports: RunPorts) -> bool:
    if run is None or run.status is RunStatus.PAUSED:
        return not slot.may_be_about_to_begin(ports.clock.now())
    return run.status.is_terminal
