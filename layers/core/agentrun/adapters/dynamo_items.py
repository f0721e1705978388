"""How runs look as items of the table: keys, attributes, sizes."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from pydantic.alias_generators import to_camel

from agentrun.adapters.text_chunks import compress, decompress
from agentrun.domain.events import Paused
from agentrun.domain.model import epoch_ms, from_epoch_ms, iso_milliseconds
from agentrun.domain.runs import AgentRun, Lease, RunKey

Item = Mapping[str, Any]
"""An item in DynamoDB's JSON, `{"name": {"S": "…"}}`, which boto3 leaves untyped."""

HEADER_SK = "RUN"
REQUEST_SK = "REQ"
SESSION_SK = "META"
POINTER_PREFIX = "RUN#"
RUNNING_HEADER_BYTES = 1024
"""A heartbeat writes the whole header: 1 KB is one write unit."""
ENDED_HEADER_BYTES = 4096
"""A poll reads the whole header: 4 KB is half a read unit when it may lag, one when it may not."""

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
_CHUNK_PREFIXES = {"output": "OUT", "messages": "MSG", "checkpoint": "CKPT"}
CHUNKED_TEXTS = tuple(_CHUNK_PREFIXES)
"""The texts that an execution may leave in chunks."""


def tenant_key(tenant: str, *parts: str) -> str:
    """
    Return a partition key of the table or the index: the tenant, then the parts.

    No key of one tenant begins as another tenant's keys do, whatever they are called: `#` and `%`
    of a tenant are percent-encoded, so the first `#` after `ORG#` ends it. All other characters
    stay as they are, or 256 of them could come to more than the 2048 bytes that a key may have.
    """
    escaped = tenant.replace("%", "%25").replace("#", "%23")
    return "#".join(("ORG", escaped, *parts))


def run_pk(key: RunKey) -> str:
    """Give the partition key of everything that belongs to a run."""
    return tenant_key(key.tenant, "RUN", key.run_id)


def session_pk(tenant: str, session_id: str) -> str:
    """Give the partition key of everything that belongs to a session."""
    return tenant_key(tenant, "SES", session_id)


def event_sk(event_id: int) -> str:
    """Give the sort key of a segment by its last event's id; sorts as the ids do."""
    return f"EV#{event_id:012d}"


def session_key(tenant: str, session_id: str) -> dict[str, dict[str, str]]:
    """Give the primary key of a session's own item, which holds its lock."""
    return {"pk": {"S": session_pk(tenant, session_id)}, "sk": {"S": SESSION_SK}}


def pointer_sk(run: AgentRun) -> str:
    """Give the sort key that leads from a session to one of its runs; sorts as they were made."""
    return f"{POINTER_PREFIX}{iso_milliseconds(run.created_at)}#{run.id}"


def chunk_sk(text: str, executor: str, chunk: int) -> str:
    """
    Give the sort key of a chunk of `output`, `messages` or `checkpoint`.

    Each execution writes under its own name: what it leaves behind, if it is fenced off before its
    end is committed, is never taken for a part of what another one has committed.
    """
    return f"{_CHUNK_PREFIXES[text]}#{executor}#{chunk:04d}"


def is_chunk(key: Item) -> bool:
    """Tell whether a key is that of a chunk which an execution has written."""
    return key["sk"]["S"].partition("#")[0] in _CHUNK_PREFIXES.values()


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
    if isinstance(value, Paused):
        return {"B": compress(value.model_dump_json())}
    if isinstance(value, datetime):
        return {"N": str(epoch_ms(value))}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    return {"S": str(value)}


def header_item(run: AgentRun) -> dict[str, Any]:
    """Write a whole run as its header, its texts included."""
    item = header_key(run.key) | attributes({name: getattr(run, name) for name in _FIELDS})
    if run.lease is not None:
        item["executor"] = {"S": run.lease.executor}
        item["leaseUntil"] = {"N": str(epoch_ms(run.lease.until))}
    return item


def run_from_header(item: Item) -> AgentRun:
    """Read a header; a text that lies in chunks is left out."""
    _, tenant, _, run_id = item["pk"]["S"].split("#")
    fields: dict[str, Any] = {"id": run_id, "org_id": unquote(tenant)}
    for name in _FIELDS:
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
    if name in _EVENTS:
        return Paused.model_validate_json(decompress(attribute["B"]))
    if name in _INSTANTS:
        return from_epoch_ms(int(attribute["N"]))
    if name == "cost_usd":
        return float(attribute["N"])
    return int(attribute["N"]) if "N" in attribute else attribute["S"]


def chunk_sks(header: Item, text: str) -> list[str]:
    """
    Give the sort keys of all chunks of `input`, `output`, `messages` or `checkpoint`, in order.

    There are none when the text is inside the header or unset.
    """
    attribute = header.get(f"{text}Chunks")
    count = int(attribute["N"]) if attribute else 0
    if text == "input":
        return [request_sk(number) for number in range(count)]
    return [chunk_sk(text, header["chunksBy"]["S"], number) for number in range(count)]


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
