"""
Quotas in DynamoDB: one item a tenant, one conditional write to take a slot, one to give it back.

The item has a set of slots for each user that runs something; a set of short marks of all those
slots, whose size is the tenant's number of runs; and counters of starts in a minute, the tenant's
and each user's. A write costs a unit for each KB of the item.

A day's tokens are counted with every answer of a model. So they have a small item of their own, in
another partition, and each count is one unit. Once they reach the limit, that is noted in the
tenant's item, so that taking a slot has to look at nothing else.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    Value,
    number,
    quota_key,
    seconds,
    string,
    tokens_key,
)
from agentrun.adapters.dynamo.table import ConditionFailedError, Table, Write
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
from agentrun.domain.value import from_epoch_ms

_USER, _MINUTE, _DAY = Attribute.SLOTS_OF_USER, Attribute.STARTS_IN_MINUTE, Attribute.TOKENS_IN_DAY
_RUNS, _TOKENS = f"#{Attribute.RUNS}", f"#{Attribute.TOKENS}"
_TOKENS_KEPT_FOR = timedelta(days=2)
"""A day and some; executors' clocks differ a little."""
_MOST_FORGOTTEN = 100
"""An expression may have 4 KB (DynamoDB's quota); the next slot given back forgets the rest."""


class DynamoRunQuota:
    """The port `RunQuota` on the project's table."""

    def __init__(self, table: Table, limits: RunLimits) -> None:
        self._table = table
        self._limits = limits

    @property
    def limits(self) -> RunLimits:
        """What is allowed."""
        return self._limits

    def take(self, slot: Slot, *, at: datetime) -> None:
        """Take a slot and count a start."""
        try:
            self._table.write(_taking(slot, self._limits, at))
        except ConditionFailedError as failed:
            refused = refusal(slot, _usage(failed.item, slot, at), self._limits, at)
            if refused is None:
                # Held: an earlier try of this very write, whose reply was lost.
                return
            raise TooManyRunsError(
                refused.message, retry_after_s=refused.retry_after_s, holders=refused.holders
            ) from failed

    def count(self, slot: Slot, *, tokens: int, at: datetime) -> None:
        """Count tokens for the tenant's day while the execution goes on."""
        spent = self._spent_with(slot.tenant, tokens, at)
        if spent is not None:
            key, update = quota_key(slot.tenant), "SET #day = :spent"
            names = {"#day": _DAY + day_of(at)}
            self._table.write(
                Write("Update", key, update, values={":spent": number(spent)}, names=names)
            )
            raise BudgetExceededError(day_is_spent(self._limits))

    def give_back(self, slot: Slot, *, tokens: int, at: datetime) -> Sequence[Slot]:
        """Give a slot back and count its tokens."""
        # First: they have been used, whether the slot is still held or not.
        spent = self._spent_with(slot.tenant, tokens, at)
        try:
            left = self._table.write(_giving_back(slot, spent, at), returning="ALL_NEW")
        except ConditionFailedError:
            return ()
        if outdated := _outdated(left, at)[:_MOST_FORGOTTEN]:
            names = {f"#n{place}": name for place, name in enumerate(outdated)}
            forget = f"REMOVE {', '.join(names)}"
            self._table.write(Write("Update", quota_key(slot.tenant), forget, names=names))
        return tuple(held for held in slots_of(left, slot.tenant) if held.is_overdue(at))

    def _spent_with(self, tenant: str, tokens: int, at: datetime) -> int | None:
        """Add tokens to a tenant's day; return their sum once that has reached the limit."""
        limit = self._limits.tokens_per_day_per_tenant
        if not limit or not tokens:
            return None
        update = f"ADD {_TOKENS} :tokens SET #{Attribute.TTL} = :ttl"
        values = {":tokens": number(tokens), ":ttl": seconds(at + _TOKENS_KEPT_FOR)}
        counting = Write("Update", tokens_key(tenant, day_of(at)), update, values=values)
        used = int(self._table.write(counting, returning="ALL_NEW")[Attribute.TOKENS]["N"])
        return used if used >= limit else None

    def release(self, slots: Sequence[Slot]) -> None:
        """Take away slots of the dead."""
        users = {f"u{n}": user for n, user in enumerate(sorted({slot.user for slot in slots}))}
        values = {":marks": _marks(slots)}
        for alias, user in users.items():
            values[f":{alias}"] = _names(slot for slot in slots if slot.user == user)
        deletes = [f"{_RUNS} :marks", *(f"#{alias} :{alias}" for alias in users)]
        update = f"DELETE {', '.join(deletes)}"
        names = {f"#{alias}": _USER + user for alias, user in users.items()}
        key = quota_key(slots[0].tenant)
        self._table.write(Write("Update", key, update, values=values, names=names))


def _taking(slot: Slot, limits: RunLimits, at: datetime) -> Write:
    """Return the update that takes a slot unless it is held, or a limit is reached."""
    # Alias, attribute, limit, what is measured, whether a start counts there.
    gauges = (
        (_RUNS, Attribute.RUNS, limits.slots_per_tenant, f"size({_RUNS})", False),
        ("#user", _USER + slot.user, limits.runs_per_user, "size(#user)", False),
        ("#all", _starts(at), limits.starts_per_minute_per_tenant, "#all", True),
        ("#own", _starts(at, slot.user), limits.starts_per_minute_per_user, "#own", True),
        ("#day", _DAY + day_of(at), limits.tokens_per_day_per_tenant, "#day", False),
    )
    adds = [f"{_RUNS} :marks", "#user :slots"]
    conditions = ["(attribute_not_exists(#user) OR NOT contains(#user, :slot))"]
    names = {"#user": _USER + slot.user}
    values = {":slot": string(slot.name), ":slots": _names([slot]), ":marks": _marks([slot])}
    for alias, attribute, limit, measure, counts in gauges:
        if not limit:
            continue
        most = f":{alias[1:]}"
        names[alias], values[most] = attribute, number(limit)
        conditions.append(f"(attribute_not_exists({alias}) OR {measure} < {most})")
        if counts:
            adds.append(f"{alias} :one")
            values[":one"] = number(1)
    key, update = quota_key(slot.tenant), f"ADD {', '.join(adds)}"
    return Write("Update", key, update, " AND ".join(conditions), values, names, asks=True)


def _giving_back(slot: Slot, spent: int | None, at: datetime) -> Write:
    """Return the update that gives a held slot back, and notes that the day's tokens are spent."""
    update = f"DELETE {_RUNS} :marks, #user :slots"
    names = {"#user": _USER + slot.user}
    values = {":slot": string(slot.name), ":slots": _names([slot]), ":marks": _marks([slot])}
    if spent is not None:
        update += " SET #day = :spent"
        names["#day"] = _DAY + day_of(at)
        values[":spent"] = number(spent)
    return Write("Update", quota_key(slot.tenant), update, "contains(#user, :slot)", values, names)


def _starts(at: datetime, user: str | None = None) -> str:
    """Return the attribute that counts the starts of this minute, the tenant's or a user's."""
    of_user = f"#{user}" if user else ""
    return f"{_MINUTE}{minute_of(at)}{of_user}"


def _names(slots: Iterable[Slot]) -> Value:
    return {"SS": [slot.name for slot in slots]}


def _marks(slots: Iterable[Slot]) -> Value:
    """Return what stands for the slots in the tenant's set: 48 bits, for a few hundred slots."""
    digests = (hashlib.sha256(f"{slot.user}#{slot.name}".encode()).digest() for slot in slots)
    return {"SS": sorted({urlsafe_b64encode(digest[:6]).decode() for digest in digests})}


def _usage(item: Item, slot: Slot, at: datetime) -> Usage:
    def count(attribute: str) -> int:
        return int(item.get(attribute, {"N": "0"})["N"])

    return Usage(
        slots=tuple(slots_of(item, slot.tenant)),
        starts=count(_starts(at)),
        starts_of_user=count(_starts(at, slot.user)),
        tokens=count(_DAY + day_of(at)),
    )


def slots_of(item: Item, tenant: str) -> list[Slot]:
    """Return the slots that a tenant's item says are held."""
    return [
        _slot(tenant, attribute.removeprefix(_USER), name)
        for attribute, value in item.items()
        if attribute.startswith(_USER)
        for name in value["SS"]
    ]


def _slot(tenant: str, user: str, name: str) -> Slot:
    until, _, run_id = name.partition(":")
    return Slot(tenant=tenant, user=user, run_id=run_id, lease_until=from_epoch_ms(int(until)))


def _outdated(item: Item, at: datetime) -> list[str]:
    """Return the counters before the last minute's and the last day's: clocks differ a little."""
    minute, day = minute_of(at) - 1, day_of(at - timedelta(days=1))
    return [
        name
        for name in item
        if (name.startswith(_MINUTE) and int(name.split("#")[1]) < minute)
        or (name.startswith(_DAY) and name.removeprefix(_DAY) < day)
    ]
