"""
Quotas in DynamoDB: one item a tenant, one conditional write to take a slot, one to give it back.

The item has a set of slots for each user that runs something; a set of short marks of all those
slots, whose size is the tenant's number of runs; and counters: of starts in a minute, the tenant's
and each user's, and of tokens in a day. A write costs a unit for each KB of the item.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from agentrun.adapters.dynamo.client import error_code, unavailable_when_failing
from agentrun.adapters.dynamo.items import Item, tenant_key
from agentrun.domain.errors import TooManyRunsError
from agentrun.domain.quotas import RunLimits, Slot, Usage, day_of, minute_of, refusal
from agentrun.domain.value import from_epoch_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_USER, _MINUTE, _DAY = "u#", "m#", "tokens#"
_MOST_FORGOTTEN = 100
"""An expression may have 4 KB (DynamoDB's quota); whoever gives back next forgets the rest."""


class DynamoRunQuota:
    """The port `RunQuota` on the project's table."""

    def __init__(self, client: "DynamoDBClient", table: str, limits: RunLimits) -> None:
        self._client = client
        self._table = table
        self._limits = limits

    @property
    def limits(self) -> RunLimits:
        """What is allowed; see the port."""
        return self._limits

    def take(self, slot: Slot, *, at: datetime) -> None:
        """Take a slot and count a start; see the port."""
        try:
            self._update(slot.tenant, **_taking(slot, self._limits, at))
        except _ConditionError as unmet:
            refused = refusal(slot, _usage(unmet.item, slot, at), self._limits, at)
            if refused is None:
                # Held: an earlier try of this very write, whose reply was lost.
                return
            raise TooManyRunsError(
                refused.message, retry_after_s=refused.retry_after_s, holders=refused.holders
            ) from unmet

    def give_back(self, slot: Slot, *, tokens: int, at: datetime) -> Sequence[Slot]:
        """Give a slot back and count its tokens; see the port."""
        counted = tokens if self._limits.tokens_per_day_per_tenant else 0
        try:
            left = self._update(slot.tenant, **_giving_back(slot, counted, at))
        except _ConditionError:
            return ()
        if outdated := _outdated(left, at)[:_MOST_FORGOTTEN]:
            names = {f"#n{number}": name for number, name in enumerate(outdated)}
            self._update(
                slot.tenant,
                UpdateExpression=f"REMOVE {', '.join(names)}",
                ExpressionAttributeNames=names,
            )
        return tuple(held for held in _slots(left, slot.tenant) if held.is_overdue(at))

    def release(self, slots: Sequence[Slot]) -> None:
        """Take away slots of the dead; see the port."""
        users = {f"#u{n}": user for n, user in enumerate(sorted({slot.user for slot in slots}))}
        values = {":marks": _marks(slots)}
        for alias, user in users.items():
            values[f":{alias[1:]}"] = _names(slot for slot in slots if slot.user == user)
        deletes = ["#runs :marks", *(f"{alias} :{alias[1:]}" for alias in users)]
        self._update(
            slots[0].tenant,
            UpdateExpression=f"DELETE {', '.join(deletes)}",
            ExpressionAttributeNames={"#runs": "runs"} | {a: _USER + u for a, u in users.items()},
            ExpressionAttributeValues=values,
        )

    def _update(self, tenant: str, **update: Any) -> Item:
        try:
            with unavailable_when_failing():
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": tenant_key(tenant, "QUOTA")}, "sk": {"S": "QUOTA"}},
                    **update,
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            response: Any = error.response
            raise _ConditionError(response.get("Item", {})) from error
        return answer.get("Attributes", {})


class _ConditionError(Exception):
    """The condition did not hold; has the item as it was, where that was asked for."""

    def __init__(self, item: Item) -> None:
        super().__init__("the condition did not hold")
        self.item = item


def _taking(slot: Slot, limits: RunLimits, at: datetime) -> dict[str, Any]:
    """Return the update that takes a slot unless it is held, or a limit is reached."""
    # Alias, attribute, limit, what is measured, whether a start counts there.
    gauges = (
        ("#runs", "runs", limits.slots_per_tenant, "size(#runs)", False),
        ("#user", _USER + slot.user, limits.runs_per_user, "size(#user)", False),
        ("#all", _starts(at), limits.starts_per_minute_per_tenant, "#all", True),
        ("#own", _starts(at, slot.user), limits.starts_per_minute_per_user, "#own", True),
        ("#day", _DAY + day_of(at), limits.tokens_per_day_per_tenant, "#day", False),
    )
    adds = ["#runs :marks", "#user :slots"]
    conditions = ["(attribute_not_exists(#user) OR NOT contains(#user, :slot))"]
    names = {"#runs": "runs", "#user": _USER + slot.user}
    values = {":slot": {"S": slot.name}, ":slots": _names([slot]), ":marks": _marks([slot])}
    for alias, attribute, limit, measure, counts in gauges:
        if not limit:
            continue
        most = f":{alias[1:]}"
        names[alias], values[most] = attribute, {"N": str(limit)}
        conditions.append(f"(attribute_not_exists({alias}) OR {measure} < {most})")
        if counts:
            adds.append(f"{alias} :one")
            values[":one"] = {"N": "1"}
    return {
        "UpdateExpression": f"ADD {', '.join(adds)}",
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _giving_back(slot: Slot, tokens: int, at: datetime) -> dict[str, Any]:
    """Give the update that gives a held slot back; what it returns is the item after it."""
    update = {
        "UpdateExpression": "DELETE #runs :marks, #user :slots",
        # Without it tokens would be counted again by a retry after a lost reply.
        "ConditionExpression": "contains(#user, :slot)",
        "ExpressionAttributeNames": {"#runs": "runs", "#user": _USER + slot.user},
        "ExpressionAttributeValues": {
            ":slot": {"S": slot.name},
            ":slots": _names([slot]),
            ":marks": _marks([slot]),
        },
        "ReturnValues": "ALL_NEW",
    }
    return _with_tokens(update, tokens, at) if tokens else update


def _with_tokens(update: Mapping[str, Any], tokens: int, at: datetime) -> dict[str, Any]:
    names, values = update["ExpressionAttributeNames"], update["ExpressionAttributeValues"]
    return {
        **update,
        "UpdateExpression": f"{update['UpdateExpression']} ADD #day :tokens",
        "ExpressionAttributeNames": {**names, "#day": _DAY + day_of(at)},
        "ExpressionAttributeValues": {**values, ":tokens": {"N": str(tokens)}},
    }


def _starts(at: datetime, user: str | None = None) -> str:
    """Return the attribute that counts the starts of this minute, the tenant's or a user's."""
    of_user = f"#{user}" if user else ""
    return f"{_MINUTE}{minute_of(at)}{of_user}"


def _names(slots: Iterable[Slot]) -> dict[str, Any]:
    return {"SS": [slot.name for slot in slots]}


def _marks(slots: Iterable[Slot]) -> dict[str, Any]:
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
