"""
Quotas in DynamoDB: one item a tenant, one conditional write to take a slot, one to give it back.

The item has a set of slots for each user that runs something; a set of short marks of all those
slots, whose size is the tenant's number of runs; and counters: of starts in a minute, the tenant's
and each user's, and of tokens in a day. A write costs a unit for each KB of the item.
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
    string,
)
from agentrun.adapters.dynamo.table import ConditionFailedError, Table, Write
from agentrun.domain.errors import TooManyRunsError
from agentrun.domain.quotas import RunLimits, Slot, Usage, day_of, minute_of, refusal
from agentrun.domain.value import from_epoch_ms

_USER, _MINUTE, _DAY = Attribute.SLOTS_OF_USER, Attribute.STARTS_IN_MINUTE, Attribute.TOKENS_IN_DAY
_RUNS = f"#{Attribute.RUNS}"
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

    def give_back(self, slot: Slot, *, tokens: int, at: datetime) -> Sequence[Slot]:
        """Give a slot back and count its tokens."""
        counted = tokens if self._limits.tokens_per_day_per_tenant else 0
        try:
            left = self._table.write(_giving_back(slot, counted, at), returning="ALL_NEW")
        except ConditionFailedError:
            return ()
        if outdated := _outdated(left, at)[:_MOST_FORGOTTEN]:
            names = {f"#n{place}": name for place, name in enumerate(outdated)}
            forget = f"REMOVE {', '.join(names)}"
            self._table.write(Write("Update", quota_key(slot.tenant), forget, names=names))
        return tuple(held for held in _slots(left, slot.tenant) if held.is_overdue(at))

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


def _giving_back(slot: Slot, tokens: int, at: datetime) -> Write:
    """Return the update that gives a held slot back, and counts tokens if there are any."""
    update = f"DELETE {_RUNS} :marks, #user :slots"
    names = {"#user": _USER + slot.user}
    values = {":slot": string(slot.name), ":slots": _names([slot]), ":marks": _marks([slot])}
    if tokens:
        update += " ADD #day :tokens"
        names["#day"] = _DAY + day_of(at)
        values[":tokens"] = number(tokens)
    # Without the condition tokens would be counted again by a retry after a lost reply.
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
        slots=tuple(_slots(item, slot.tenant)),
        starts=count(_starts(at)),
        starts_of_user=count(_starts(at, slot.user)),
        tokens=count(_DAY + day_of(at)),
    )


def _slots(item: Item, tenant: str) -> list[Slot]:
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
