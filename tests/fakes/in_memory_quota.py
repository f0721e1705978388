"""Quotas in dictionaries."""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from agentrun.domain.errors import BudgetExceededError, TooManyRunsError
from agentrun.domain.quotas import (
    RunLimits,
    Slot,
    Usage,
    day_is_spent,
    day_of,
    minute_of,
    refusal,
)
from tests.fakes.hooks import Hookable


class InMemoryRunQuota(Hookable):
    """The port `RunQuota` in dictionaries; several threads may use it at once."""

    def __init__(self, limits: RunLimits) -> None:
        self.limits = limits
        self.held: set[Slot] = set()
        self._starts: Counter[tuple[str, str, int]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def take(self, slot: Slot, *, at: datetime) -> None:
        with self._lock:
            refused = refusal(slot, self._usage(slot, at), self.limits, at)
            if refused is not None:
                raise TooManyRunsError(
                    refused.message, retry_after_s=refused.retry_after_s, holders=refused.holders
                )
            if slot not in self.held:
                self.held.add(slot)
                for user in ("", slot.user):
                    self._starts[slot.tenant, user, minute_of(at)] += 1

    def count(self, slot: Slot, *, tokens: int, at: datetime) -> None:
        limit = self.limits.tokens_per_day_per_tenant
        with self._lock:
            self._tokens[slot.tenant, day_of(at)] += tokens
            if 0 < limit <= self._tokens[slot.tenant, day_of(at)] and tokens:
                raise BudgetExceededError(day_is_spent(self.limits))

    def give_back(self, slot: Slot, *, tokens: int, at: datetime) -> Sequence[Slot]:
        with self._lock:
            self._tokens[slot.tenant, day_of(at)] += tokens
            if slot not in self.held:
                return ()
            self.held.remove(slot)
            return [held for held in self._of(slot.tenant) if held.is_overdue(at)]

    def release(self, slots: Sequence[Slot]) -> None:
        with self._lock:
            self.held -= set(slots)

    def _of(self, tenant: str) -> tuple[Slot, ...]:
        return tuple(held for held in self.held if held.tenant == tenant)

    def _usage(self, slot: Slot, at: datetime) -> Usage:
        return Usage(
            slots=self._of(slot.tenant),
            starts=self._starts[slot.tenant, "", minute_of(at)],
            starts_of_user=self._starts[slot.tenant, slot.user, minute_of(at)],
            tokens=self._tokens[slot.tenant, day_of(at)],
        )
