"""Quotas: how much users and tenants may run and read at once, in a minute, in a day."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentrun.domain.value import epoch_ms

RETRY_AFTER_S = 5
"""After this, a run or a reader that is in the way may have ended."""
UNWRITTEN_FOR = timedelta(seconds=15)
"""
For about this long after the end of its slot's first lease, a start may still write its run.

The slot is taken right before the first try. Three tries of three attempts each, which time out
after 2 s, or 3 s with the connection, take 27 s at most; the lease covers 15 s of them.
"""
OVERDUE_AFTER = timedelta(minutes=20)
"""Lambda ends an invocation, and so the run in it, after 15 minutes."""
MINUTE_S = 60

MOST_RUNS_PER_TENANT = 400
"""
How many a tenant's one item can carry: each start and each end of a run writes all of it.

A partition takes 1000 write units a second, one for each KB of the item ("Quotas in Amazon
DynamoDB" in its developer guide). With 400 runs of as many users the item has 29 KB, and if each
lasts 30 s, that is 773 units a second; 500 would be 1200.
"""


# Dataclasses, since every function imports this module: pydantic models would slow its start.
@dataclass(frozen=True)
class RunLimits:
    """What is allowed; 0 means no limit. A continuation counts as a start."""

    runs_per_user: int = 50
    runs_per_tenant: int = 200
    starts_per_minute_per_user: int = 0
    starts_per_minute_per_tenant: int = 0
    tokens_per_day_per_tenant: int = 0

    @property
    def slots_per_tenant(self) -> int:
        """How many slots a tenant may have: its limit, or else what its item can carry."""
        return self.runs_per_tenant or MOST_RUNS_PER_TENANT

    @property
    def are_set(self) -> bool:
        """Whether there is any limit at all."""
        return self != NO_LIMITS


NO_LIMITS = RunLimits(runs_per_user=0, runs_per_tenant=0)


@dataclass(frozen=True)
class Slot:
    """
    What an execution of a run holds while it lasts.

    `user` is the user's `user_tag`. `lease_until` is the end of a lease that began as the slot was
    taken; it tells the executions of a run apart.
    """

    tenant: str
    user: str
    run_id: str
    lease_until: datetime

    @property
    def name(self) -> str:
        """A name that is unique within the tenant."""
        return f"{epoch_ms(self.lease_until)}:{self.run_id}"

    def may_be_about_to_begin(self, at: datetime) -> bool:
        """Tell whether its run may still be about to be written or continued."""
        return at < self.lease_until + UNWRITTEN_FOR

    def is_overdue(self, at: datetime) -> bool:
        """Tell whether it has been held for longer than runs take."""
        return at > self.lease_until + OVERDUE_AFTER


def user_tag(user_id: str) -> str:
    """Return a short name for a user, whose id may be long and is private."""
    return urlsafe_b64encode(hashlib.sha256(user_id.encode()).digest()[:9]).decode()


@dataclass(frozen=True)
class Usage:
    """
    What a tenant has used: slots; starts of all and of one user in this minute; tokens on this day.

    Days are those of UTC. A store may know of tokens only once the day's limit is reached.
    """

    slots: tuple[Slot, ...] = ()
    starts: int = 0
    starts_of_user: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Refusal:
    """Why a slot is refused; `holders` are the slots in the way, if there are any."""

    message: str
    retry_after_s: int
    holders: tuple[Slot, ...] = ()


def refusal(slot: Slot, usage: Usage, limits: RunLimits, at: datetime) -> Refusal | None:
    """Return why a slot is refused, the longest wait first; None if it is free, or held already."""
    if slot in usage.slots:
        return None
    return _refused_for_a_time(usage, limits, at) or _refused_for_others(slot, usage, limits)


def day_is_spent(limits: RunLimits) -> str:
    """Say that a tenant has used the day's tokens."""
    return (
        f"The organisation has used its daily budget of {limits.tokens_per_day_per_tenant} tokens."
    )


def _refused_for_a_time(usage: Usage, limits: RunLimits, at: datetime) -> Refusal | None:
    if _is_reached(limits.tokens_per_day_per_tenant, usage.tokens):
        message, retry_after_s = day_is_spent(limits), _seconds_to_midnight(at)
        return Refusal(message=message, retry_after_s=retry_after_s)
    to_next_minute_s = MINUTE_S - int(at.timestamp()) % MINUTE_S
    if _is_reached(limits.starts_per_minute_per_tenant, usage.starts):
        limit = limits.starts_per_minute_per_tenant
        message = f"The organisation may start at most {limit} runs a minute."
        return Refusal(message=message, retry_after_s=to_next_minute_s)
    if _is_reached(limits.starts_per_minute_per_user, usage.starts_of_user):
        limit = limits.starts_per_minute_per_user
        message = f"A user may start at most {limit} runs a minute."
        return Refusal(message=message, retry_after_s=to_next_minute_s)
    return None


def _refused_for_others(slot: Slot, usage: Usage, limits: RunLimits) -> Refusal | None:
    if _is_reached(limits.slots_per_tenant, len(usage.slots)):
        message = f"The organisation may have at most {limits.slots_per_tenant} runs under way."
        return Refusal(message=message, retry_after_s=RETRY_AFTER_S, holders=usage.slots)
    of_user = tuple(held for held in usage.slots if held.user == slot.user)
    if _is_reached(limits.runs_per_user, len(of_user)):
        message = f"A user may have at most {limits.runs_per_user} runs under way."
        return Refusal(message=message, retry_after_s=RETRY_AFTER_S, holders=of_user)
    return None


def _is_reached(limit: int, used: int) -> bool:
    return 0 < limit <= used


def _seconds_to_midnight(at: datetime) -> int:
    now = at.astimezone(UTC).replace(microsecond=0)
    midnight = now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    return int((midnight - now).total_seconds())


def minute_of(at: datetime) -> int:
    """Return the minute for which starts are counted, since the Unix epoch."""
    return int(at.timestamp()) // MINUTE_S


def day_of(at: datetime) -> str:
    """Return the day (UTC) for which tokens are counted, as yyyymmdd; sorts as the days do."""
    return at.astimezone(UTC).strftime("%Y%m%d")


@dataclass(frozen=True)
class ReaderPlace:
    """
    What a reader holds while it follows a run of a user.

    `user` is the `user_tag` of the run's owner. `until` is when the process that serves the reader
    is stopped at the latest. `reader_id` tells the readers of a run apart.
    """

    tenant: str
    user: str
    run_id: str
    reader_id: str
    until: datetime

    @property
    def name(self) -> str:
        """A name that is unique among the user's places."""
        return f"{epoch_ms(self.until)}:{self.run_id}:{self.reader_id}"
