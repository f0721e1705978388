"""How runs and sessions look as items of the table: keys, attributes, texts, sizes."""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from pydantic.alias_generators import to_camel

from agentrun.domain.conversations import Session
from agentrun.domain.events import Paused
from agentrun.domain.runs import AgentRun, Lease, RunKey
from agentrun.domain.value import epoch_ms, from_epoch_ms, iso_milliseconds

PREVIEW_BYTES = 4096
SLICE_BYTES = 350 * 1024
"""Well under DynamoDB's item limit of 400 KB, keys and attribute names included."""


def compress(text: str) -> bytes:
    """Return a text's UTF-8, compressed."""
    return zlib.compress(text.encode())


def decompress(packed: bytes) -> str:
    """Undo `compress`."""
    return zlib.decompress(packed).decode()


def cut_utf8(text: str, limit_bytes: int = PREVIEW_BYTES) -> tuple[str, bool]:
    """Cut a text to `limit_bytes` of UTF-8 at a character boundary; tell whether it was cut."""
    # A character has at most 4 bytes in UTF-8, so most texts need no encoding to be let through.
    if len(text) * 4 <= limit_bytes:
        return text, False
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text, False
    return encoded[:limit_bytes].decode(errors="ignore"), True


def to_slices(text: str) -> list[bytes]:
    """Split a text for storage, compressed as one; at least one slice."""
    packed = compress(text)
    return [packed[at : at + SLICE_BYTES] for at in range(0, len(packed), SLICE_BYTES)]


def from_slices(slices: Sequence[bytes]) -> str:
    """Undo `to_slices`; needs all slices in order."""
    return decompress(b"".join(slices))


def to_chunks(text: str) -> list[bytes]:
    """
    Split a text for storage so that its beginning can be read alone.

    Returns:
        The compressed first 4096 bytes, readable by itself; then slices of the compressed rest.
    """
    preview, was_cut = cut_utf8(text)
    return [compress(preview), *(to_slices(text[len(preview) :]) if was_cut else [])]


def from_chunks(chunks: Sequence[bytes]) -> str:
    """Undo `to_chunks`; needs all chunks in order."""
    first, *rest = chunks
    return decompress(first) + (from_slices(rest) if rest else "")


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
    """Return the partition key of everything that belongs to a run."""
    return tenant_key(key.tenant, "RUN", key.run_id)


def session_pk(tenant: str, session_id: str) -> str:
    """Return the partition key of everything that belongs to a session."""
    return tenant_key(tenant, "SES", session_id)


def event_sk(event_id: int) -> str:
    """Return the sort key of a segment by its last event's id; sorts as the ids do."""
    return f"EV#{event_id:012d}"


def session_key(tenant: str, session_id: str) -> dict[str, dict[str, str]]:
    """Return the primary key of a session's own item, which holds its lock."""
    return {"pk": {"S": session_pk(tenant, session_id)}, "sk": {"S": SESSION_SK}}


def pointer_sk(run: AgentRun) -> str:
    """Return the sort key that leads from a session to one of its runs; sorts as they were made."""
    return f"{POINTER_PREFIX}{iso_milliseconds(run.created_at)}#{run.id}"


def chunk_sk(text: str, executor: str, chunk: int) -> str:
    """
    Return the sort key of a chunk of `output`, `messages` or `checkpoint`.

    Each execution writes under its own name: what it leaves behind, if it is fenced off before its
    end is committed, is never taken for a part of what another one has committed.
    """
    return f"{_CHUNK_PREFIXES[text]}#{executor}#{chunk:04d}"


def is_chunk(key: Item) -> bool:
    """Tell whether a key is that of a chunk which an execution has written."""
    return key["sk"]["S"].partition("#")[0] in _CHUNK_PREFIXES.values()


def request_sk(chunk: int) -> str:
    """Return the sort key of a chunk of the input; the first is the request itself."""
    return REQUEST_SK if chunk == 0 else f"{REQUEST_SK}#{chunk:04d}"


def header_key(key: RunKey) -> dict[str, dict[str, str]]:
    """Return the primary key of a run's header."""
    return {"pk": {"S": run_pk(key)}, "sk": {"S": HEADER_SK}}


# pydantic's takes two regular expressions, and a batch of 100 runs asks for 2200 names.
_camel = cache(to_camel)


def attributes(fields: Mapping[str, object]) -> dict[str, Any]:
    """Write fields of a run, by their Python names, as attributes; None is left out."""
    item: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        item[_camel(name)] = _attribute(name, value)
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
        attribute = item.get(_camel(name))
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


def is_erased(header: Item) -> bool:
    """Tell whether what stands in a header's place only marks that its run was erased."""
    return "status" not in header


def chunk_sks(header: Item, text: str) -> list[str]:
    """
    Return the sort keys of all chunks of `input`, `output`, `messages` or `checkpoint`, in order.

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


MAX_KEY_BYTES = 2048
"""Of a partition key (source: "Quotas in Amazon DynamoDB" in the developer guide)."""


def session_from_item(item: Item) -> Session:
    """Read a session's own item."""
    return Session(
        id=item["pk"]["S"].rpartition("#SES#")[2],
        agent_id=item["agentId"]["S"],
        user_id=item["userId"]["S"],
        title=item["title"]["S"],
        created_at=from_epoch_ms(int(item["createdAt"]["N"])),
        updated_at=from_epoch_ms(int(item["updatedAt"]["N"])),
    )


def session_list_key(tenant: str, user_id: str) -> str:
    """
    Return the index's partition key of a user's sessions.

    Two ids of 256 characters with four bytes each come to ten bytes too many; a digest stands for
    such a user's id.
    """
    key = tenant_key(tenant, "USER", user_id)
    if len(key.encode()) <= MAX_KEY_BYTES:
        return key
    return tenant_key(tenant, "USERHASH", hashlib.sha256(user_id.encode()).hexdigest())


def session_list_position(used_at: datetime, session_id: str, agent_id: str) -> str:
    """
    Return the index's sort key of a session; sorts as sessions were used last.

    The agent is in it so that the sessions with one agent can be told apart by the index alone.
    """
    return f"{iso_milliseconds(used_at)}#{session_id}#{agent_id}"


def listed_agent(position: str) -> str | None:
    """Return the agent of a sort key; None in one that was written before agents stood in it."""
    _, _, agent_id = position.partition("#")[2].partition("#")
    return agent_id or None


def pointed_run_id(pointer: Item) -> str:
    """Return the id of the run that a pointer leads to."""
    return str(pointer["sk"]["S"].rpartition("#")[2])
