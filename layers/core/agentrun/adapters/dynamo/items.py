"""What lies in the table: every key and attribute by name, and what is read of it."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from agentrun.domain.conversations import SessionLock
from agentrun.domain.errors import ConflictError
from agentrun.domain.requests import IdempotencyClaim
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.value import epoch_ms, iso_milliseconds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Value: TypeAlias = "AttributeValueTypeDef"
"""A value of an attribute in DynamoDB's JSON: `{"S": "…"}`."""
Item = Mapping[str, Value]
"""An item, or its key."""
Values = Mapping[str, Value]
"""What an expression calls `:name`."""


class Attribute:
    """
    The attributes that expressions and items name.

    A header has the fields of its run besides, in camelCase.
    """

    # Of every item.
    PK, SK, TTL = "pk", "sk", "ttl"
    # Of a run's header.
    STATUS, VERSION, EXECUTOR, LEASE_UNTIL = "status", "version", "executor", "leaseUntil"
    LAST_EVENT_ID, PAUSED_UNTIL = "lastEventId", "pausedUntil"
    CANCEL_REQUESTED_AT, CHUNKS_BY = "cancelRequestedAt", "chunksBy"
    REQUIRED_ACTION, WEBHOOK = "requiredAction", "webhook"
    # Of the executions of a run, see `headers`.
    ATTEMPT, MAX_ATTEMPTS, LOST_AFTER, LAST_STEP = "attempt", "tries", "lost", "steps"
    HANDED_OVER, ASKED_UNTIL, BACKGROUND, SLOT_UNTIL = "handed", "asked", "bg", "slot"
    MEDIA = "media"
    LOST_BY, USED = "lostBy", "used"
    # Of a step; and of a header whose checkpoint lies in the bucket.
    STEP, CHECKPOINT_OBJECT = "step", "checkpointObject"
    # Of a request, and of a chunk of a text.
    REQUEST, TEXT, END = "request", "text", "end"
    # Of a session.
    USER_ID, AGENT_ID, TITLE = "userId", "agentId", "title"
    CREATED_AT, UPDATED_AT, DELETING = "createdAt", "updatedAt", "deleting"
    ACTIVE_RUN, ACTIVE_BY, QUEUE = "activeRun", "activeBy", "queue"
    # Of what is in the index: sessions, their pointers to runs, headers of runs that were paused.
    LIST, POSITION = "gsi1pk", "gsi1sk"
    # Of a session's pointer to a run, and of an idempotency claim.
    FINGERPRINT, RUN_ID = "fingerprint", "runId"
    # Of a segment of events.
    FIRST, EVENTS, SUPERSEDING = "first", "events", "superseding"
    # Of a ticket.
    TENANT, ROLES, EXPIRES_AT = "tenant", "roles", "expiresAt"
    USED_AT, USED_BY = "usedAt", "usedBy"
    # Of quotas.
    READERS, RUNS, TOKENS = "readers", "runs", "tokens"
    # What attributes begin with that are named after users, minutes and days.
    SLOTS_OF_USER, STARTS_IN_MINUTE, TOKENS_IN_DAY = "u#", "m#", "tokens#"


SESSIONS_INDEX = "sessions"
POINTERS = "RUN#"
SEGMENTS = "EV#"
STEPS = "STEP#"
"""What the sort keys of a session's pointers, and of a run's segments and steps, begin with."""
MAX_KEY_BYTES = 2048
"""Of a partition key (source: "Quotas in Amazon DynamoDB" in the developer guide)."""
MOST_ITEM_BYTES = 256 * 1024
"""What is larger lies in the bucket, if there is one: each KB of an item is a write unit."""
_HEADER, _REQUEST, _SESSION, _CLAIM = "RUN", "REQ", "META", "IDEM"
_QUOTA, _READERS, _TOKENS, _TICKET = "QUOTA", "READERS", "TOKENS", "TICKET"
_CHUNK_PREFIXES = {"output": "OUT", "messages": "MSG", "checkpoint": "CKPT"}
CHUNKED_TEXTS = tuple(_CHUNK_PREFIXES)
"""The texts that an execution may leave in chunks."""


def string(text: str) -> Value:
    """Return a string."""
    return {"S": text}


def number(value: float) -> Value:
    """Return a number."""
    return {"N": repr(value)}


def instant(at: datetime) -> Value:
    """Return an instant in milliseconds since the Unix epoch."""
    return {"N": str(epoch_ms(at))}


def seconds(at: datetime) -> Value:
    """Return an instant in seconds since the Unix epoch, as DynamoDB wants a `ttl`."""
    return {"N": str(int(at.timestamp()))}


def strings(texts: Iterable[str]) -> Value:
    """Return a list of strings."""
    return {"L": [string(text) for text in texts]}


def packed(text: str) -> Value:
    """Return a text, compressed."""
    return {"B": zlib.compress(text.encode())}


def unpacked(value: Value) -> str:
    """Undo `packed`."""
    return zlib.decompress(value["B"]).decode()


def tenant_key(tenant: str, *parts: str) -> str:
    """
    Return a partition key of the table or the index: the tenant, then the parts.

    No key of one tenant begins as another tenant's keys do, whatever they are called: `#` and `%`
    of a tenant are percent-encoded, so the first `#` after `ORG#` ends it. All other characters
    stay as they are, or 256 of them could come to more than the 2048 bytes that a key may have.
    """
    escaped = tenant.replace("%", "%25").replace("#", "%23")
    return "#".join(("ORG", escaped, *parts))


def key_at(pk: str, sk: str) -> Item:
    """Return a primary key."""
    return {Attribute.PK: string(pk), Attribute.SK: string(sk)}


def key_of(item: Item) -> Item:
    """Return an item's primary key."""
    return {name: item[name] for name in (Attribute.PK, Attribute.SK)}


def place_of(item: Item) -> tuple[str, str]:
    """Return the partition and the sort key of an item."""
    return item[Attribute.PK]["S"], item[Attribute.SK]["S"]


def run_pk(key: RunKey) -> str:
    """Return the partition key of everything that belongs to a run."""
    return tenant_key(key.tenant, "RUN", key.run_id)


def header_key(key: RunKey) -> Item:
    """Return the primary key of a run's header."""
    return key_at(run_pk(key), _HEADER)


def request_sk(chunk: int) -> str:
    """Return the sort key of a chunk of the input; the first is the request itself."""
    return _REQUEST if chunk == 0 else f"{_REQUEST}#{chunk:04d}"


def event_sk(event_id: int) -> str:
    """Return the sort key of a segment by its last event's id; sorts as the ids do."""
    return f"{SEGMENTS}{event_id:012d}"


def step_sk(step: int) -> str:
    """Return the sort key of a step by its number; sorts as the numbers do."""
    return f"{STEPS}{step:06d}"


def event_id_of(segment: Item) -> int:
    """Return the id of a segment's last event."""
    return int(segment[Attribute.SK]["S"].removeprefix(SEGMENTS))


def chunk_sk(text: str, executor: str, chunk: int) -> str:
    """
    Return the sort key of a chunk of `output`, `messages` or `checkpoint`.

    Each execution writes under its own name: what it leaves behind, if it is fenced off before its
    end is committed, is never taken for a part of what another one has committed.
    """
    return f"{_CHUNK_PREFIXES[text]}#{executor}#{chunk:04d}"


def is_chunk(key: Item) -> bool:
    """Tell whether a key is that of a chunk which an execution has written."""
    return key[Attribute.SK]["S"].partition("#")[0] in _CHUNK_PREFIXES.values()


def session_pk(tenant: str, session_id: str) -> str:
    """Return the partition key of everything that belongs to a session."""
    return tenant_key(tenant, "SES", session_id)


def session_key(tenant: str, session_id: str) -> Item:
    """Return the primary key of a session's own item, which holds its lock."""
    return key_at(session_pk(tenant, session_id), _SESSION)


def pointer_sk(run: AgentRun) -> str:
    """Return the sort key that leads from a session to one of its runs; sorts as they were made."""
    return f"{POINTERS}{iso_milliseconds(run.created_at)}#{run.id}"


def pointed_run_id(pointer: Item) -> str:
    """Return the id of the run that a pointer leads to."""
    return pointer[Attribute.SK]["S"].rpartition("#")[2]


def session_list_key(tenant: str, user_id: str) -> str:
    """Return the index's partition key of a user's sessions."""
    return _users_key(tenant, "USER", user_id)


def run_list_key(tenant: str, user_id: str) -> str:
    """Return the index's partition key of a user's runs."""
    return _users_key(tenant, "RUNSOF", user_id)


def _users_key(tenant: str, kind: str, user_id: str) -> str:
    """
    Return a key of the index that names a user.

    Two ids of 256 characters with four bytes each come to ten bytes too many; a digest stands for
    such a user's id.
    """
    key = tenant_key(tenant, kind, user_id)
    if len(key.encode()) <= MAX_KEY_BYTES:
        return key
    return tenant_key(tenant, f"{kind}HASH", hashlib.sha256(user_id.encode()).hexdigest())


def pauses_key(tenant: str) -> str:
    """Return the index's partition key of a tenant's runs that are paused, or were."""
    return tenant_key(tenant, "PAUSES")


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


def claim_key(tenant: str, claim: IdempotencyClaim) -> Item:
    """Return the primary key of a claim."""
    return key_at(tenant_key(tenant, _CLAIM, claim.key_hash), _CLAIM)


def quota_key(tenant: str) -> Item:
    """Return the primary key of what a tenant has used of its quota."""
    return key_at(tenant_key(tenant, _QUOTA), _QUOTA)


def tokens_key(tenant: str, day: str) -> Item:
    """Return the primary key of what counts a tenant's tokens of a day."""
    return key_at(tenant_key(tenant, _TOKENS), day)


def readers_key(tenant: str, user: str) -> Item:
    """Return the primary key of the places of a user's readers."""
    return key_at(tenant_key(tenant, _READERS, user), _READERS)


def ticket_key(digest: str) -> Item:
    """
    Return the primary key of a ticket: the only one that does not begin with a tenant.

    Whoever comes with a ticket has nothing else; the tenant is in the item.
    """
    return key_at(f"{_TICKET}#{digest}", _TICKET)


def count_of_chunks(text: str) -> str:
    """Return the attribute of a header that counts the chunks of a text beside it."""
    return f"{text}Chunks"


def chunk_sks(header: Item, text: str) -> list[str]:
    """
    Return the sort keys of all chunks of `input`, `output`, `messages` or `checkpoint`, in order.

    There are none when the text is inside the header or unset.
    """
    attribute = header.get(count_of_chunks(text))
    count = int(attribute["N"]) if attribute else 0
    if text == "input":
        return [request_sk(number) for number in range(count)]
    return [chunk_sk(text, header[Attribute.CHUNKS_BY]["S"], number) for number in range(count)]


def size_bytes(item: Item) -> int:
    """
    Estimate an item's size, rounded up a little.

    Source: "DynamoDB item sizes and formats" in the DynamoDB developer guide.
    """
    return sum(len(name) + _attribute_bytes(attribute) for name, attribute in item.items())


def _attribute_bytes(attribute: Value) -> int:
    if "N" in attribute:
        return len(attribute["N"]) // 2 + 2
    if "L" in attribute:
        return 3 + sum(1 + _attribute_bytes(element) for element in attribute["L"])
    return len(attribute["S"].encode() if "S" in attribute else attribute["B"])


def claimed_run(item: Item, claim: IdempotencyClaim) -> str:
    """
    Read which run a stored claim stands for.

    Raises:
        ConflictError: It is another request's.
    """
    if item[Attribute.FINGERPRINT]["S"] != claim.fingerprint:
        raise ConflictError("The Idempotency-Key stands for another request.")
    return item[Attribute.RUN_ID]["S"]


def lock_of(session: Item) -> SessionLock:
    """Read the lock from a session's item; a missing one is free."""
    active, by = session.get(Attribute.ACTIVE_RUN), session.get(Attribute.ACTIVE_BY)
    waiting = session[Attribute.QUEUE]["L"] if Attribute.QUEUE in session else ()
    return SessionLock(
        active=active["S"] if active else None,
        active_by=by["S"] if by else None,
        queue=tuple(run["S"] for run in waiting),
    )
