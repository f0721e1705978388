"""A run's header: what of a run is in it, under which names and in which form."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from pydantic.alias_generators import to_camel

from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    Value,
    header_key,
    instant,
    number,
    packed,
    string,
    unpacked,
)
from agentrun.domain.events import Metrics, Paused
from agentrun.domain.requests import Webhook
from agentrun.domain.runs import AgentRun, Lease
from agentrun.domain.value import from_epoch_ms

_STRINGS = (
    "agent_id",
    "session_id",
    "user_id",
    "status",
    "model",
    "error_type",
    "error_message",
    "parent_run_id",
)
_NUMBERS = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cost_usd",
    "duration_ms",
    "version",
    "last_event_id",
)
_INSTANTS = ("created_at", "updated_at", "started_at", "completed_at", "paused_until")
_TEXTS = ("input", "output")
_JSON = ("followups",)
_EVENTS = ("required_action",)
_FIELDS = (*_STRINGS, *_NUMBERS, *_INSTANTS, *_TEXTS, *_JSON, *_EVENTS)


# pydantic's takes two regular expressions, and a batch of 100 runs asks for 2200 names.
_camel = cache(to_camel)


def attributes(fields: Mapping[str, object]) -> dict[str, Value]:
    """Write fields of a run, by their Python names, as attributes; None is left out."""
    return {
        _camel(name): _attribute(name, value) for name, value in fields.items() if value is not None
    }


def _attribute(name: str, value: object) -> Value:
    if name in _TEXTS:
        return packed(str(value))
    if name in _JSON:
        return string(json.dumps(value, ensure_ascii=False))
    if isinstance(value, Paused):
        return packed(value.model_dump_json())
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, int | float):
        return number(value)
    return string(str(value))


def lost_after_attribute(ids: tuple[int, ...]) -> Value:
    """Return what the header says of the losses of a run."""
    return {"L": [number(event_id) for event_id in ids]}


def used_attribute(used: Metrics) -> Value:
    """Return what the header says of a run that was handed over: what it had used by then."""
    return string(used.model_dump_json(exclude_none=True, exclude={"event"}))


def slot_attribute(run: AgentRun) -> dict[str, Value]:
    """Return the name of the slot that a run's executions hold, if it has one."""
    return {} if run.slot_until is None else {Attribute.SLOT_UNTIL: instant(run.slot_until)}


def _of_executions(run: AgentRun) -> dict[str, Value]:
    """
    Return what tells one execution of a run from the next; nothing of it where it is as usual.

    A running header is written with every heartbeat, and a unit has 1 KB: hence the short names.
    """
    found: dict[str, Value] = {}
    if run.attempt > 1:
        found[Attribute.ATTEMPT] = number(run.attempt)
    if run.max_attempts > 1:
        found[Attribute.MAX_ATTEMPTS] = number(run.max_attempts)
    if run.lost_after:
        found[Attribute.LOST_AFTER] = lost_after_attribute(run.lost_after)
    if run.is_handed_over:
        found[Attribute.HANDED_OVER] = number(1)
    if run.is_background:
        found[Attribute.BACKGROUND] = number(1)
    if run.used is not None:
        found[Attribute.USED] = used_attribute(run.used)
    if run.has_media:
        found[Attribute.MEDIA] = number(1)
    found |= slot_attribute(run)
    if run.webhook is not None:
        # Its name and its type are what the table's stream is filtered by.
        found[Attribute.WEBHOOK] = string(run.webhook.model_dump_json(exclude_defaults=True))
    return found


def header_item(run: AgentRun) -> Item:
    """Write a whole run as its header, its texts included."""
    lease: dict[str, Value] = {}
    if run.lease is not None:
        lease[Attribute.EXECUTOR] = string(run.lease.executor)
        lease[Attribute.LEASE_UNTIL] = instant(run.lease.until)
    fields = attributes({name: getattr(run, name) for name in _FIELDS})
    return {**header_key(run.key), **fields, **lease, **_of_executions(run)}


def run_from_header(item: Item) -> AgentRun:
    """Read a header; a text that lies in chunks is left out."""
    _, tenant, _, run_id = item[Attribute.PK]["S"].split("#")
    fields: dict[str, Any] = {"id": run_id, "org_id": unquote(tenant)}
    for name in _FIELDS:
        attribute = item.get(_camel(name))
        if attribute is not None:
            fields[name] = _value(name, attribute)
    if Attribute.EXECUTOR in item:
        until = from_epoch_ms(int(item[Attribute.LEASE_UNTIL]["N"]))
        fields["lease"] = Lease(executor=item[Attribute.EXECUTOR]["S"], until=until)
    fields["cancel_requested"] = Attribute.CANCEL_REQUESTED_AT in item
    return AgentRun(**fields, **_executions_from(item))


def _executions_from(item: Item) -> dict[str, Any]:
    """Undo `_of_executions`; a header of an earlier version says nothing of the kind."""
    fields: dict[str, Any] = {}
    if Attribute.ATTEMPT in item:
        fields["attempt"] = int(item[Attribute.ATTEMPT]["N"])
    if Attribute.MAX_ATTEMPTS in item:
        fields["max_attempts"] = int(item[Attribute.MAX_ATTEMPTS]["N"])
    if Attribute.LOST_AFTER in item:
        fields["lost_after"] = tuple(int(lost["N"]) for lost in item[Attribute.LOST_AFTER]["L"])
    if Attribute.HANDED_OVER in item:
        fields["is_handed_over"] = True
    if Attribute.BACKGROUND in item:
        fields["is_background"] = True
    if Attribute.USED in item:
        fields["used"] = Metrics.model_validate_json(item[Attribute.USED]["S"])
    if Attribute.MEDIA in item:
        fields["has_media"] = True
    if Attribute.SLOT_UNTIL in item:
        fields["slot_until"] = from_epoch_ms(int(item[Attribute.SLOT_UNTIL]["N"]))
    if Attribute.WEBHOOK in item:
        fields["webhook"] = Webhook.model_validate_json(item[Attribute.WEBHOOK]["S"])
    return fields


def _value(name: str, attribute: Value) -> object:
    if name in _TEXTS:
        return unpacked(attribute)
    if name in _JSON:
        return json.loads(attribute["S"])
    if name in _EVENTS:
        return Paused.model_validate_json(unpacked(attribute))
    if name in _INSTANTS:
        return from_epoch_ms(int(attribute["N"]))
    if name == "cost_usd":
        return float(attribute["N"])
    return int(attribute["N"]) if "N" in attribute else attribute["S"]


def is_erased(header: Item) -> bool:
    """Tell whether what stands in a header's place only marks that its run was erased."""
    return Attribute.STATUS not in header
