"""
A session's lock: who holds it, who waits for it, and the writes that change it.

A session's lock is in the session's own item: `activeRun`, and `queue` while it has any. `activeBy`
is the execution that has taken it: a run that is continued after a pause holds its lock anew, and
the execution before the pause may be late to let go.

A run takes the lock once all ahead of it were found dead, and its write says what was seen. That is
enough, however many were ahead:

- A run becomes RUNNING only with the lock, in one transaction, and the lock goes to another run
  only if its holder's header says, in that very transaction, that it is over, paused or gone
  (`holder_is_over`). So at most one run of a session is RUNNING, whatever was read before.
- A run in the queue is QUEUED, ended or gone, so that leaving it out stops nothing that runs. What
  has ended never lives again; a queue that is as it was seen has the same runs in it.
- A background run that finds its session free is QUEUED and has the lock: nobody else begins while
  it waits for an executor. It becomes RUNNING as any other, from a lock whose holder it is itself.
- The lock goes with a run to its next executor, in the transaction that gives it the run
  (`pass_on`). So what the former one lets go of late is not the lock.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    Value,
    Values,
    header_key,
    lock_of,
    number,
    session_key,
    string,
    strings,
)
from agentrun.adapters.dynamo.table import Table, Write
from agentrun.domain.conversations import MAX_QUEUED, SessionLock
from agentrun.domain.runs import AgentRun, RunKey, RunStatus

LEAVE_ATTEMPTS = 3
"""A run that does not get out of the queue by then is left for the next one that joins."""
_ONE = {":one": number(1)}
_PK, _QUEUE, _STATUS = Attribute.PK, f"#{Attribute.QUEUE}", f"#{Attribute.STATUS}"


@dataclass(frozen=True)
class LockChange:
    """What an update of a session's item says to change its lock."""

    condition: str
    sets: str
    removes: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)


def joins_queue(run: AgentRun, seen: SessionLock, dead: Collection[str]) -> bool:
    """Tell whether a new run waits for the lock; see `RunStore.start`."""
    takes_lock = run.is_background and seen.is_free_without(dead)
    return run.status is RunStatus.QUEUED and not takes_lock


def taking(seen: SessionLock, run_id: str, executor: str) -> LockChange:
    """Take the lock over, on the condition that it still is as it was seen."""
    condition, seen_values = _as_seen(seen)
    values = {":run": string(run_id), ":by": string(executor), **seen_values}
    behind = seen.taken_by(run_id, executor).queue
    sets = f"{Attribute.ACTIVE_RUN} = :run, {Attribute.ACTIVE_BY} = :by"
    if not behind:
        return LockChange(condition, sets, (_QUEUE,), values)
    values[":behind"] = strings(behind)
    return LockChange(condition, f"{sets}, {_QUEUE} = :behind", values=values)


def joining(seen: SessionLock, run_id: str, dead: Collection[str]) -> LockChange:
    """
    Go to the end of the queue, in place of those found dead in it, if there are any.

    Only a run that leaves somebody out needs the lock to be as it was seen: many may join at once.
    Without the dead the queue may not be full.
    """
    if dead:
        condition, values = _as_seen(seen)
        values[":waiting"] = strings((*seen.without(dead).queue, run_id))
        return LockChange(condition, f"{_QUEUE} = :waiting", values=values)
    condition = f"(attribute_not_exists({_QUEUE}) OR size({_QUEUE}) < :most)"
    sets = f"{_QUEUE} = list_append(if_not_exists({_QUEUE}, :none), :me)"
    values = {":none": strings(()), ":me": strings((run_id,)), ":most": number(MAX_QUEUED)}
    return LockChange(condition, sets, values=values)


def _as_seen(seen: SessionLock) -> tuple[str, dict[str, Value]]:
    """Return the condition that a lock is as it was seen, and its values."""
    operands = (
        (Attribute.ACTIVE_RUN, ":seenActive", string(seen.active) if seen.active else None),
        (Attribute.ACTIVE_BY, ":seenBy", string(seen.active_by) if seen.active_by else None),
        (_QUEUE, ":seenQueue", strings(seen.queue) if seen.queue else None),
    )
    conditions = [
        f"attribute_not_exists({name})" if value is None else f"{name} = {operand}"
        for name, operand, value in operands
    ]
    values = {operand: value for _, operand, value in operands if value is not None}
    return " AND ".join(conditions), values


def take_lock(run: AgentRun, executor: str, seen: SessionLock) -> Write:
    """Move a session's lock to a run which the session knows already."""
    lock = taking(seen, run.id, executor)
    update = " REMOVE ".join((f"SET {lock.sets}", *lock.removes))
    condition = f"attribute_exists({_PK}) AND {lock.condition}"
    key = session_key(run.org_id, run.session_id)
    return Write("Update", key, update, condition, lock.values, asks=True)


def pass_on(run: AgentRun, executor: str) -> Write:
    """
    Move a session's lock with the run that has it to another executor.

    A RUNNING run whose executor has let go of the lock as it was lost takes it back, unless another
    run has it by now.
    """
    active, by = Attribute.ACTIVE_RUN, Attribute.ACTIVE_BY
    is_theirs = f"{active} = :run"
    if run.status is RunStatus.RUNNING:
        is_theirs = f"attribute_exists({_PK}) AND ({is_theirs} OR attribute_not_exists({active}))"
    return Write(
        "Update",
        session_key(run.org_id, run.session_id),
        f"SET {active} = :run, {by} = :by",
        is_theirs,
        {":run": string(run.id), ":by": string(executor)},
    )


def holder_is_over(run: AgentRun, seen: SessionLock) -> list[Write]:
    """
    Check that another run that has not let go of the lock is over, paused or gone.

    `activeBy` as it was seen says so of a run that was continued since, but not of one that was
    gone with its session and has begun it anew, by a try of its start that was late.
    """
    if seen.active in {None, run.id}:
        return []
    holder = header_key(RunKey(tenant=run.org_id, run_id=str(seen.active)))
    over = f"attribute_not_exists({_STATUS}) OR ({_STATUS} <> :queued AND {_STATUS} <> :running)"
    values = {":queued": string(RunStatus.QUEUED), ":running": string(RunStatus.RUNNING)}
    return [Write("ConditionCheck", holder, condition=over, values=values)]


def release_lock(run: AgentRun, executor: str) -> Write:
    """Let go of the lock, if this execution of the run holds it."""
    holder, by = Attribute.ACTIVE_RUN, Attribute.ACTIVE_BY
    return Write(
        "Update",
        session_key(run.org_id, run.session_id),
        f"REMOVE {holder}, {by}",
        f"{holder} = :run AND {by} = :by",
        {":run": string(run.id), ":by": string(executor)},
    )


def leave_queue(lock: SessionLock, run: AgentRun) -> Write | None:
    """Take a run out of the queue; None where it is not in it."""
    if run.id not in lock.queue:
        return None
    key, values = session_key(run.org_id, run.session_id), {":run": string(run.id), **_ONE}
    if len(lock.queue) == 1:
        # An empty list would be one more way to say that nobody waits.
        only = {":only": strings((run.id,))}
        return Write("Update", key, f"REMOVE {_QUEUE}", f"{_QUEUE} = :only", only)
    place = f"{_QUEUE}[{lock.queue.index(run.id)}]"
    condition = f"{place} = :run AND size({_QUEUE}) > :one"
    return Write("Update", key, f"REMOVE {place}", condition, values)


def session_of(table: Table, run: AgentRun) -> Item:
    """Read the item of a run's session, with all that was written before."""
    return table.item(session_key(run.org_id, run.session_id))


def leave(table: Table, run: AgentRun) -> str | None:
    """
    Take a run out of its session, with or without its turn at the lock.

    Others may be leaving at this moment.

    Returns:
        The id of the run that is the next in the queue, if this one had the lock.
    """
    for _ in range(LEAVE_ATTEMPTS):
        lock = lock_of(session_of(table, run))
        has_lock = (lock.active, lock.active_by) == (run.id, run.lease and run.lease.executor)
        update = release_lock(run, lock.active_by or "") if has_lock else leave_queue(lock, run)
        if update is None or table.writes(update):
            return next(iter(lock.queue), None) if has_lock else None
    return None
