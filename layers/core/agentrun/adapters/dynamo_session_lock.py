"""
The lock of a session, in the session's own item: `activeRun`, and `queue` while it has any.

`activeBy` is the execution that has taken it: a run that is continued after a pause holds its lock
anew, and the execution before the pause may be late to let go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrun.adapters.dynamo_items import Item, header_key, session_key
from agentrun.domain.conversations import MAX_QUEUED, SessionLock
from agentrun.domain.runs import AgentRun, RunKey, RunStatus


def lock_of(session: Item) -> SessionLock:
    """Read the lock from a session's item; a missing one is free."""
    return SessionLock(
        active=session["activeRun"]["S"] if "activeRun" in session else None,
        queue=tuple(run["S"] for run in session.get("queue", {"L": []})["L"]),
    )


@dataclass(frozen=True)
class LockUpdate:
    """What an update of a session's item says to change its lock; `names` are the aliases in it."""

    condition: str
    sets: str
    removes: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=lambda: {"#queue": "queue"})


def taking(seen: SessionLock, run_id: str, executor: str) -> LockUpdate:
    """Take the lock over, on the condition that it still is as it was seen."""
    values: dict[str, Any] = {":run": {"S": run_id}, ":by": {"S": executor}}
    active, queue = "attribute_not_exists(activeRun)", "attribute_not_exists(#queue)"
    if seen.active is not None:
        active, values[":seenActive"] = "activeRun = :seenActive", {"S": seen.active}
    if seen.queue:
        queue, values[":seenQueue"] = "#queue = :seenQueue", _runs(seen.queue)
    behind = seen.taken_by(run_id).queue
    sets, removes = "activeRun = :run, activeBy = :by", " REMOVE #queue"
    if behind:
        sets, removes, values[":behind"] = f"{sets}, #queue = :behind", "", _runs(behind)
    return LockUpdate(f"{active} AND {queue}", sets, removes, values)


def joining(run_id: str) -> LockUpdate:
    """Go to the end of the queue, unless it is full."""
    values = {":none": {"L": []}, ":me": _runs((run_id,)), ":most": {"N": str(MAX_QUEUED)}}
    condition = "(attribute_not_exists(#queue) OR size(#queue) < :most)"
    sets = "#queue = list_append(if_not_exists(#queue, :none), :me)"
    return LockUpdate(condition, sets, values=values)


def take_lock(table: str, run: AgentRun, executor: str, seen: SessionLock) -> dict[str, Any]:
    """Give the update that moves a session's lock to a run which the session knows already."""
    lock = taking(seen, run.id, executor)
    return {
        "TableName": table,
        "Key": session_key(run.org_id, run.session_id),
        "ConditionExpression": f"attribute_exists(pk) AND {lock.condition}",
        "UpdateExpression": f"SET {lock.sets}{lock.removes}",
        "ExpressionAttributeNames": lock.names,
        "ExpressionAttributeValues": lock.values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def none_is_live(table: str, run: AgentRun, seen: SessionLock) -> list[dict[str, Any]]:
    """
    Check that the runs ahead are over or paused, if there are any.

    That the lock is as it was seen does not say so: one that was paused may have been continued
    since, and then holds the lock as it did before.
    """
    return [
        {
            "ConditionCheck": {
                "TableName": table,
                "Key": header_key(RunKey(tenant=run.org_id, run_id=ahead)),
                "ConditionExpression": (
                    "attribute_not_exists(pk) OR (#status <> :queued AND #status <> :running)"
                ),
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {
                    ":queued": {"S": RunStatus.QUEUED},
                    ":running": {"S": RunStatus.RUNNING},
                },
            }
        }
        for ahead in seen.before(run.id)
    ]


def _runs(run_ids: tuple[str, ...]) -> dict[str, Any]:
    return {"L": [{"S": run_id} for run_id in run_ids]}
