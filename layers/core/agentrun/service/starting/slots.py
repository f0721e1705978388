"""How much runs at once: each execution takes a slot first, and the dead lose theirs."""

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentrun.domain.errors import RunNotFoundError, StoreUnavailableError, TooManyRunsError
from agentrun.domain.ports import RunQuota
from agentrun.domain.quotas import Slot, user_tag
from agentrun.domain.runs import LEASE_DURATION, AgentRun, RunKey, RunStatus, lease_has_lapsed
from agentrun.service.ports import RunPorts, in_thread

MAX_LOOKS = 3
"""How often one start looks for the dead: what they leave, others may be faster to take."""
LOOK_AGAIN_AFTER = timedelta(seconds=5)
"""Bounds what callers cost who are refused and do not wait: their next look is that much later."""
MAX_BATCH = 100
"""BatchGetItem's limit."""
MAX_HOLDERS = 2 * MAX_BATCH
"""Bounds what one look reads; of more holders, those looked at are drawn by lot."""
MAX_REPAIRS = 10
"""Bounds the writes that one look may cause; the next one repairs the rest."""


class RunSlots:
    """Gives slots to executions, within the limits of a quota."""

    def __init__(self, quota: RunQuota, ports: RunPorts) -> None:
        self._quota = quota
        self._ports = ports
        self._in_vain: dict[tuple[str, str], datetime] = {}

    async def take(self, run: AgentRun) -> Slot:
        """
        Take a slot for an execution of a run that is to be written right after.

        Returns:
            The slot, which is to be given back; what is not heals.

        Raises:
            TooManyRunsError: A limit is reached. Nothing was taken.
            StoreUnavailableError: Retrying is safe.
        """
        slot = slot_at(run, self._ports.clock.now())
        if not self._quota.limits.are_set:
            return slot
        for _ in range(MAX_LOOKS):
            try:
                await self._take(slot)
            except TooManyRunsError as refused:
                if not await self._room_found(slot, refused.holders):
                    raise
            else:
                return slot
        await self._take(slot)
        return slot

    async def give_back(self, slot: Slot, *, tokens: int) -> None:
        """
        Give the slot of an execution back, whether the run has ended, is paused, or never began.

        Giving back again changes nothing. Where the store is away the slot stays, until somebody
        sees that its holder is dead.

        Args:
            slot: What `take` gave.
            tokens: What this execution has used; not what the run had used before a pause.
        """
        if self._quota.limits.are_set:
            with suppress(StoreUnavailableError):
                await in_thread(self._ports.threads, self._give_back, slot, tokens)

    async def _take(self, slot: Slot) -> None:
        at = self._ports.clock.now()
        await in_thread(self._ports.threads, self._quota.take, slot, at=at)

    async def _room_found(self, slot: Slot, holders: Sequence[Slot]) -> bool:
        """Look whether some of those in the way are dead, unless that has just been in vain."""
        now, whose = self._ports.clock.now(), (slot.tenant, slot.user)
        recent = {who: at for who, at in self._in_vain.items() if abs(now - at) < LOOK_AGAIN_AFTER}
        if not holders or whose in recent:
            return False
        # Before the look: of many who are refused at once, one looks.
        self._in_vain = recent | {whose: now}
        found = await in_thread(self._ports.threads, self._release_dead, holders)
        if found:
            self._in_vain.pop(whose, None)
        return found

    def _give_back(self, slot: Slot, tokens: int) -> None:
        overdue = self._quota.give_back(slot, tokens=tokens, at=self._ports.clock.now())
        self._release_dead(overdue)

    def _release_dead(self, holders: Sequence[Slot]) -> bool:
        """Take the slots away from the first dead ones that are found; tell whether there are."""
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
    """A slot that has been taken; one that turns out not to be needed is given back."""

    slot: Slot
    is_needed: bool = False


@asynccontextmanager
async def slot_of_new(run: AgentRun, slots: RunSlots) -> AsyncGenerator[NewSlot, None]:
    """
    Take a slot for a run that is about to be stored or continued; give it back if that fails.

    Raises:
        TooManyRunsError: A limit is reached. Nothing was taken.
        StoreUnavailableError: Retrying is safe.
    """
    new = NewSlot(await slots.take(run))
    try:
        yield new
    finally:
        if not new.is_needed:
            await slots.give_back(new.slot, tokens=0)


def slot_at(run: AgentRun, at: datetime) -> Slot:
    """
    Return the slot of an execution that begins at this moment.

    It goes by the lease that the first try to write the run would have: a later try has another.
    """
    return Slot(
        tenant=run.org_id,
        user=user_tag(run.user_id),
        run_id=run.id,
        lease_until=at + LEASE_DURATION,
    )


def _dead_among(slots: Sequence[Slot], ports: RunPorts) -> list[Slot]:
    keys = list(dict.fromkeys(_key(slot) for slot in slots))
    found = ports.store.get_many(keys, with_text=False)
    lapsed = [run for run in found.values() if _is_abandoned(run, ports)]
    for run in lapsed[:MAX_REPAIRS]:
        # Only once it is written down can its executor not come back.
        found[run.key] = _settled(run, ports)
    return [slot for slot in slots if _is_dead(slot, found.get(_key(slot)), ports)]


def _key(slot: Slot) -> RunKey:
    return RunKey(tenant=slot.tenant, run_id=slot.run_id)


def _is_abandoned(run: AgentRun, ports: RunPorts) -> bool:
    is_under_way = run.status in {RunStatus.QUEUED, RunStatus.RUNNING}
    return is_under_way and lease_has_lapsed(run, ports.clock.now())


def _settled(run: AgentRun, ports: RunPorts) -> AgentRun:
    try:
        return ports.store.expire(run, at=ports.clock.now())
    except RunNotFoundError:
        # Its conversation was deleted: gone for the next one who looks.
        return run


def _is_dead(slot: Slot, run: AgentRun | None, ports: RunPorts) -> bool:
    if run is None or run.status is RunStatus.PAUSED:
        return not slot.may_be_about_to_begin(ports.clock.now())
    return run.status.is_terminal
