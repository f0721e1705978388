"""How runs look as items of the table: keys, attributes, sizes."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic.alias_generators import to_camel

from agentrun.adapters.text_chunks import compress, decompress
from agentrun.domain.model import epoch_ms, from_epoch_ms
from agentrun.domain.runs import AgentRun, Lease, RunKey

Item = Mapping[str, Any]
"""An item in DynamoDB's JSON, `{"name": {"S": "…"}}`, which boto3 leaves untyped."""

HEADER_SK = "RUN"
REQUEST_SK = "REQ"
RUNNING_HEADER_BYTES = 1024
"""A heartbeat writes the whole header: 1 KB is one write unit."""
ENDED_HEADER_BYTES = 4096
"""A poll reads the whole header: 4 KB is half a read unit when it may lag, one when it may not."""

_STRINGS = ("agent_id", "session_id", "user_id", "status", "model", "error_type", "error_message")
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
_INSTANTS = ("created_at", "updated_at", "started_at", "completed_at")
_TEXTS = ("input", "output")
_JSON = ("followups",)


def run_pk(key: RunKey) -> str:
    """Give the partition key of everything that belongs to a run."""
    return f"ORG#{key.tenant}#RUN#{key.run_id}"


def session_pk(tenant: str, session_id: str) -> str:
    """Give the partition key of everything that belongs to a session."""
    return f"ORG#{tenant}#SES#{session_id}"


def event_sk(event_id: int) -> str:
    """Give the sort key of a segment by its last event's id; sorts as the ids do."""
    return f"EV#{event_id:012d}"


def output_sk(chunk: int) -> str:
    """Give the sort key of a chunk of the output."""
    return f"OUT#{chunk:04d}"


def request_sk(chunk: int) -> str:
    """Give the sort key of a chunk of the input; the first is the request itself."""
    return REQUEST_SK if chunk == 0 else f"{REQUEST_SK}#{chunk:04d}"


def header_key(key: RunKey) -> dict[str, dict[str, str]]:
    """Give the primary key of a run's header."""
    return {"pk": {"S": run_pk(key)}, "sk": {"S": HEADER_SK}}


def attributes(fields: Mapping[str, object]) -> dict[str, Any]:
    """Write fields of a run, by their Python names, as attributes; None is left out."""
    item: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        item[to_camel(name)] = _attribute(name, value)
    return item


def _attribute(name: str, value: object) -> dict[str, Any]:
    if name in _TEXTS:
        return {"B": compress(str(value))}
    if name in _JSON:
        return {"S": json.dumps(value, ensure_ascii=False)}
    if isinstance(value, datetime):
        return {"N": str(epoch_ms(value))}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    return {"S": str(value)}


def header_item(run: AgentRun) -> dict[str, Any]:
    """Write a whole run as its header, its texts included."""
    names = (*_STRINGS, *_NUMBERS, *_INSTANTS, *_TEXTS, *_JSON)
    item = header_key(run.key) | attributes({name: getattr(run, name) for name in names})
    if run.lease is not None:
        item["executor"] = {"S": run.lease.executor}
        item["leaseUntil"] = {"N": str(epoch_ms(run.lease.until))}
    return item


def run_from_header(item: Item) -> AgentRun:
    """Read a header; a text that lies in chunks is left out."""
    tenant, run_id = item["pk"]["S"].removeprefix("ORG#").split("#RUN#")
    fields: dict[str, Any] = {"id": run_id, "org_id": tenant}
    for name in (*_STRINGS, *_NUMBERS, *_INSTANTS, *_TEXTS, *_JSON):
        attribute = item.get(to_camel(name))
        if attribute is not None:
            fields[name] = _value(name, attribute)
    if "executor" in item:
        until = from_epoch_ms(int(item["leaseUntil"]["N"]))
        fields["lease"] = Lease(executor=item["executor"]["S"], until=until)
    fields["cancel_requested"] = "cancelRequestedAt" in item
    return AgentRun(**fields)


def _value(name: str, attribute: Item) -> object:
    if name in _TEXTS:
        return decompress(attribute["B"])
    if name in _JSON:
        return json.loads(attribute["S"])
    if name in _INSTANTS:
        return from_epoch_ms(int(attribute["N"]))
    if name == "cost_usd":
        return float(attribute["N"])
    return int(attribute["N"]) if "N" in attribute else attribute["S"]


def chunk_count(item: Item, text: str) -> int:
    """Tell in how many chunks a header's text lies outside it; 0 when it is inside or unset."""
    attribute = item.get(f"{text}Chunks")
    return int(attribute["N"]) if attribute else 0


def size_bytes(item: Item) -> int:
    """
    Estimate an item's size, rounded up a little.

    Source: "DynamoDB item sizes and formats" in the DynamoDB developer guide.
    """
    return sum(len(name) + _attribute_bytes(attribute) for name, attribute in item.items())


def _attribute_bytes(attribute: Item) -> int:
    kind, value = next(iter(attribute.items()))
    if kind == "N":
        return len(value) // 2 + 2
    return len(value.encode()) if kind == "S" else len(value)
