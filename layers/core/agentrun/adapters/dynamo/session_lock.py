"""
The lock of a session, in the session's own item: `activeRun`, and `queue` while it has any.

`activeBy` is the execution that has taken it: a run that is continued after a pause holds its lock
anew, and the execution before the pause may be late to let go.

Whoever takes the lock has found all ahead dead before, and its write says what it has seen. That is
enough, for however many were ahead:

- A run becomes RUNNING only with the lock, in one transaction (a start, a turn, a resumption), and
  the lock goes to another run only if its holder's header says, in that very transaction, that it
  is over, paused or gone (`holder_is_over`). So at most one run of a session is RUNNING, whatever
  anybody has read before.
- One in the queue is QUEUED, ended or gone, so that leaving it out of the queue stops nothing that
  runs. What has ended never lives again; a queue that is as it was seen has the same runs in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrun.adapters.dynamo.items import Item, header_key, session_key
from agentrun.domain.conversations import MAX_QUEUED, SessionLock
from agentrun.domain.runs import AgentRun, RunKey, RunStatus


def lock_of(session: Item) -> SessionLock:
    """Read the lock from a session's item; a missing one is free."""
    return SessionLock(
        active=session["activeRun"]["S"] if "activeRun" in session else None,
        active_by=session["activeBy"]["S"] if "activeBy" in session else None,
        queue=tuple(run["S"] for run in session.get("queue", {"L": []})["L"]),
    )


@dataclass(frozen=True)
class LockUpdate:
    """What an update of a session's item says to change its lock; `names` are the aliases in it."""

    condition: str
    sets: str
    removes: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=lambda: {"#queue": "queue"})


def taking(seen: SessionLock, run_id: str, executor: str) -> LockUpdate:
    """Take the lock over, on the condition that it still is as it was seen."""
    condition, seen_values = _as_seen(seen)
    values = {":run": {"S": run_id}, ":by": {"S": executor}, **seen_values}
    behind = seen.taken_by(run_id, executor).queue
    sets = "activeRun = :run, activeBy = :by"
    if not behind:
        return LockUpdate(condition, sets, ("#queue",), values)
    values[":behind"] = _runs(behind)
    return LockUpdate(condition, f"{sets}, #queue = :behind", values=values)


def joining(seen: SessionLock, run_id: str, dead: Collection[str]) -> LockUpdate:
    """
    Go to the end of the queue, in place of those found dead in it, if there are any.

    Only who leaves somebody out needs the lock to be as it was seen: many may join at once. Without
    the dead the queue may not be full.
    """
    if dead:
        condition, values = _as_seen(seen)
        values[":waiting"] = _runs((*seen.without(dead).queue, run_id))
        return LockUpdate(condition, "#queue = :waiting", values=values)
    values = {":none": {"L": []}, ":me": _runs((run_id,)), ":most": {"N": str(MAX_QUEUED)}}
    condition = "(attribute_not_exists(#queue) OR size(#queue) < :most)"
    sets = "#queue = list_append(if_not_exists(#queue, :none), :me)"
    return LockUpdate(condition, sets, values=values)


def _as_seen(seen: SessionLock) -> tuple[str, dict[str, Any]]:
    """Return the condition that a lock is as it was seen, and its values."""
    operands: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
        ("activeRun", ":seenActive", {"S": seen.active} if seen.active else None),
        ("activeBy", ":seenBy", {"S": seen.active_by} if seen.active_by else None),
        ("#queue", ":seenQueue", _runs(seen.queue) if seen.queue else None),
    )
    conditions = [
        f"attribute_not_exists({name})" if value is None else f"{name} = {operand}"
        for name, operand, value in operands
    ]
    values = {operand: value for _, operand, value in operands if value is not None}
    return " AND ".join(conditions), values


def take_lock(table: str, run: AgentRun, executor: str, seen: SessionLock) -> dict[str, Any]:
    """Return the update that moves a session's lock to a run which the session knows already."""
    lock = taking(seen, run.id, executor)
    return {
        "TableName": table,
        "Key": session_key(run.org_id, run.session_id),
        "ConditionExpression": f"attribute_exists(pk) AND {lock.condition}",
        "UpdateExpression": " REMOVE ".join((f"SET {lock.sets}", *lock.removes)),
        "ExpressionAttributeNames": lock.names,
        "ExpressionAttributeValues": lock.values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def holder_is_over(table: str, run: AgentRun, seen: SessionLock) -> list[dict[str, Any]]:
    """
    Check that another run that has not let go of the lock is over, paused or gone.

    `activeBy` as it was seen says so of a run that was continued since, but not of one that was
    gone with its session and has begun it anew, by a try of its start that was late.
    """
    if seen.active in {None, run.id}:
        return []
    return [
        {
            "ConditionCheck": {
                "TableName": table,
                "Key": header_key(RunKey(tenant=run.org_id, run_id=str(seen.active))),
                "ConditionExpression": (
                    "attribute_not_exists(#status) OR (#status <> :queued AND #status <> :running)"
                ),
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {
                    ":queued": {"S": RunStatus.QUEUED},
                    ":running": {"S": RunStatus.RUNNING},
                },
            }
        }
    ]


def releasing(run_id: str, executor: str) -> dict[str, Any]:
    """Return the update by which this execution of a run lets go of the lock."""
    return {
        "ConditionExpression": "activeRun = :run AND activeBy = :by",
        "UpdateExpression": "REMOVE activeRun, activeBy",
        "ExpressionAttributeValues": {":run": {"S": run_id}, ":by": {"S": executor}},
    }


def leaving_queue(lock: SessionLock, run: AgentRun) -> dict[str, Any] | None:
    """Return the update by which a run leaves the queue; None where it is not in it."""
    if run.id not in lock.queue:
        return None
    if len(lock.queue) == 1:
        # An empty list would be one more way to say that nobody waits.
        return {
            "ConditionExpression": "#queue = :only",
            "UpdateExpression": "REMOVE #queue",
            "ExpressionAttributeNames": {"#queue": "queue"},
            "ExpressionAttributeValues": {":only": _runs((run.id,))},
        }
    place = f"#queue[{lock.queue.index(run.id)}]"
    return {
        "ConditionExpression": f"{place} = :run AND size(#queue) > :one",
        "UpdateExpression": f"REMOVE {place}",
        "ExpressionAttributeNames": {"#queue": "queue"},
        "ExpressionAttributeValues": {":run": {"S": run.id}, ":one": {"N": "1"}},
    }


def letting_go(lock: SessionLock, run: AgentRun) -> dict[str, Any] | None:
    """Return the update by which a run that was queued leaves, with or without its turn."""
    if run.lease and (lock.active, lock.active_by) == (run.id, run.lease.executor):
        return releasing(run.id, run.lease.executor)
    return leaving_queue(lock, run)


def _runs(run_ids: tuple[str, ...]) -> dict[str, Any]:
    return {"L": [{"S": run_id} for run_id in run_ids]}
