"""What each step of a run writes, and under which conditions: its start, its cancel, its end."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from agentrun.adapters.dynamo.headers import attributes, header_item, lost_after_attribute
from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    Values,
    claim_key,
    count_of_chunks,
    header_key,
    instant,
    key_at,
    number,
    packed,
    pointer_sk,
    request_sk,
    run_pk,
    seconds,
    session_key,
    session_list_key,
    session_list_position,
    session_pk,
    size_bytes,
    string,
)
from agentrun.adapters.dynamo.run_list import run_entry
from agentrun.adapters.dynamo.session_lock import holder_is_over, joining, joins_queue, taking
from agentrun.adapters.dynamo.table import Write
from agentrun.adapters.dynamo.texts import to_chunks
from agentrun.domain.conversations import SessionLock, session_title
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.value import to_milliseconds

RUNNING_HEADER_BYTES = 1024
"""A heartbeat writes the whole header: 1 KB is one write unit."""
_STEPS_BYTES = size_bytes({Attribute.LAST_STEP: number(9_999)})
"""What a running header gains by its steps."""
CLAIM_RETENTION = timedelta(hours=24)
HEADER, SESSION, CLAIM = 0, 1, 2
"""Where the writes that can be refused stand in a transaction, and in its reasons."""
_ONE = {":one": number(1)}
_PK, _STATUS = Attribute.PK, f"#{Attribute.STATUS}"
_HELD = f"{Attribute.EXECUTOR} = :executor AND attribute_not_exists({Attribute.HANDED_OVER})"
OWNED = f"{_STATUS} IN (:queued, :running) AND {_HELD}"
RUNNING_BY = f"{_STATUS} = :running AND {_HELD}"
"""The fences: by them an executor writes that has the run, and has not let go of it."""


def header_update(
    key: RunKey,
    condition: str,
    operands: Values,
    changes: Values,
    *,
    also: str = "",
    removes: Sequence[str] = (),
    asks: bool = False,
) -> Write:
    """
    Set attributes of a header that meets a condition; a new status is a new version.

    A header leaves the index as its run ends: removing what is not there costs nothing.
    """
    sets = [f"#{name} = :{name}" for name in changes] + ([also] if also else [])
    values = {**operands, **{f":{name}": value for name, value in changes.items()}}
    if Attribute.STATUS in changes:
        sets.append(f"{Attribute.VERSION} = {Attribute.VERSION} + :one")
        values |= _ONE
        if RunStatus(changes[Attribute.STATUS]["S"]).is_terminal:
            removes = (*removes, Attribute.LIST, Attribute.POSITION)
    removed = f" REMOVE {', '.join(f'#{name}' for name in removes)}" if removes else ""
    update = f"SET {', '.join(sets)}{removed}"
    return Write("Update", header_key(key), update, condition, values, asks=asks)


def is_owned_by(header: Item, executor: str, *statuses: RunStatus) -> bool:
    """Tell whether a header, as it was read, would let an executor write."""
    return (
        header.get(Attribute.STATUS) in [string(status) for status in statuses]
        and header.get(Attribute.EXECUTOR) == string(executor)
        and Attribute.HANDED_OVER not in header
    )


def start_writes(
    run: AgentRun,
    request: RunRequest,
    claim: IdempotencyClaim | None,
    *,
    seen: SessionLock,
    dead: Collection[str] = (),
    fingerprint: str | None = None,
) -> list[Write]:
    """Return the writes of a new run; those that can be refused come first, in the order above."""
    header = header_item(run)
    chunks: list[bytes] = []
    if size_bytes(header) > RUNNING_HEADER_BYTES - _STEPS_BYTES:
        chunks = to_chunks("input", request.message)
        header = {
            **{name: value for name, value in header.items() if name != "input"},
            count_of_chunks("input"): number(len(chunks)),
        }
    joins = joins_queue(run, seen, dead)
    return [
        Write("Put", header, condition=f"attribute_not_exists({_PK})", asks=True),
        _session_update(run, request, seen, dead),
        *([_claim_put(run, claim)] if claim else []),
        Write("Put", _pointer_item(run, fingerprint)),
        *(Write("Put", item) for item in _request_items(run, request, chunks)),
        *([] if joins else holder_is_over(run, seen)),
    ]


def _session_update(
    run: AgentRun, request: RunRequest, seen: SessionLock, dead: Collection[str]
) -> Write:
    executor = run.lease.executor if run.lease else ""
    joins = joins_queue(run, seen, dead)
    lock = joining(seen, run.id, dead) if joins else taking(seen, run.id, executor)
    user, agent, title = Attribute.USER_ID, Attribute.AGENT_ID, Attribute.TITLE
    created, updated = Attribute.CREATED_AT, Attribute.UPDATED_AT
    is_theirs = f"(attribute_not_exists({_PK}) OR ({user} = :user AND {agent} = :agent))"
    sets = (
        f"{user} = :user, {agent} = :agent, {updated} = :at,"
        f" {Attribute.LIST} = :list, {Attribute.POSITION} = :used,"
        f" {created} = if_not_exists({created}, :at), {title} = if_not_exists({title}, :title)"
    )
    values: Values = {
        ":user": string(run.user_id),
        ":agent": string(run.agent_id),
        ":at": instant(run.created_at),
        ":list": string(session_list_key(run.org_id, run.user_id)),
        ":used": string(session_list_position(run.created_at, run.session_id, run.agent_id)),
        ":title": string(session_title(request.message)),
        **lock.values,
    }
    # A deletion of the session then looks once more for runs that have come into it.
    removes = ", ".join((Attribute.DELETING, *lock.removes))
    return Write(
        "Update",
        session_key(run.org_id, run.session_id),
        f"SET {sets}, {lock.sets} REMOVE {removes}",
        f"{is_theirs} AND {lock.condition}",
        values,
        asks=True,
    )


def _claim_put(run: AgentRun, claim: IdempotencyClaim) -> Write:
    item: Item = {
        **claim_key(run.org_id, claim),
        Attribute.RUN_ID: string(run.id),
        Attribute.FINGERPRINT: string(claim.fingerprint),
        Attribute.TTL: seconds(run.created_at + CLAIM_RETENTION),
    }
    # DynamoDB deletes what has outlived its `ttl` only within days.
    condition = f"attribute_not_exists({_PK}) OR #{Attribute.TTL} < :now"
    now = {":now": seconds(run.created_at)}
    return Write("Put", item, condition=condition, values=now, asks=True)


def _pointer_item(run: AgentRun, fingerprint: str | None) -> Item:
    """Return the pointer, which holds the fingerprint: it has room, unlike the header of a run."""
    key = key_at(session_pk(run.org_id, run.session_id), pointer_sk(run))
    return {
        **key,
        **run_entry(run),
        **({Attribute.FINGERPRINT: string(fingerprint)} if fingerprint else {}),
    }


def _request_items(run: AgentRun, request: RunRequest, chunks: Sequence[bytes]) -> list[Item]:
    """
    Return what the header does not hold of a request: its options, a long message.

    Most requests are a short message and nothing else, and cost no item of their own. Media stay
    out: they may be larger than a transaction. A webhook is in the header.
    """
    left_out = {"message", "session_id", "user_id", "org_id", "media", "webhook"}
    rest = request.model_dump_json(exclude=left_out, exclude_defaults=True)
    contents: list[Item] = [{Attribute.TEXT: {"B": chunk}} for chunk in chunks]
    if rest != "{}":
        first, *others = contents or [{}]
        contents = [{**first, Attribute.REQUEST: packed(rest)}, *others]
    return [
        {**key_at(run_pk(run.key), request_sk(place)), **item}
        for place, item in enumerate(contents)
    ]


_SET_BY_EXPIRY = (
    *("status", "error_type", "error_message", "last_event_id"),
    *("updated_at", "completed_at", "duration_ms"),
)


def held_by(executor: str, *statuses: RunStatus) -> Values:
    """Return what conditions call `:executor`, and `:queued` and `:running`."""
    named = statuses or (RunStatus.QUEUED, RunStatus.RUNNING)
    return {
        ":executor": string(executor),
        **{f":{status.lower()}": string(status) for status in named},
    }


def cancellation(key: RunKey, status: RunStatus, at: datetime) -> Write:
    """End a run of this status, or ask the executor of a RUNNING one to."""
    condition, operands = f"{_STATUS} = :seen", {":seen": string(status)}
    if status is RunStatus.RUNNING:
        return header_update(key, condition, operands, {Attribute.CANCEL_REQUESTED_AT: instant(at)})
    now = to_milliseconds(at)
    changes = {"status": RunStatus.CANCELLED, "completed_at": now, "updated_at": now}
    # Readers say CANCELLED, one event after the run's last.
    also = f"{Attribute.LAST_EVENT_ID} = {Attribute.LAST_EVENT_ID} + :one"
    return header_update(key, condition, operands, attributes(changes), also=also)


def settlement(seen: AgentRun, lease: Lease, after: AgentRun) -> Write:
    """Settle a run, if all that has decided on its end is as it was seen."""
    changes = attributes({name: getattr(after, name) for name in _SET_BY_EXPIRY})
    if after.lease is not None and after.lease != lease:
        changes[Attribute.LEASE_UNTIL] = instant(after.lease.until)
    if after.lost_after != seen.lost_after:
        changes[Attribute.LOST_AFTER] = lost_after_attribute(after.lost_after)
    operands = {
        ":seen": string(seen.status),
        ":executor": string(lease.executor),
        ":lease": instant(lease.until),
        ":seenLast": number(seen.last_event_id),
    }
    flag = "attribute_exists" if seen.cancel_requested else "attribute_not_exists"
    condition = (
        f"{_STATUS} = :seen AND {Attribute.EXECUTOR} = :executor"
        f" AND {Attribute.LEASE_UNTIL} = :lease AND {Attribute.LAST_EVENT_ID} = :seenLast"
        f" AND {flag}({Attribute.CANCEL_REQUESTED_AT})"
    )
    return header_update(seen.key, condition, operands, changes)
