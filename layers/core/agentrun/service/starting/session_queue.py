"""One run at a time in a session: stored if it is free, refused or queued if it is not."""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from agentrun.domain.conversations import FREE, MAX_QUEUED, SessionLock, SessionPolicy
from agentrun.domain.errors import (
    ConflictError,
    RunNotFoundError,
    SessionBusyError,
    StoreUnavailableError,
    TooManyRunsError,
)
from agentrun.domain.ports import ConversationStore
from agentrun.domain.quotas import RETRY_AFTER_S
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import UNDER_WAY, AgentRun, RunKey
from agentrun.service.ports import RunPorts, TriedAhead, every, in_thread, retried
from agentrun.service.reading.runs import (
    read_many,
    settled_state,
)

LOOK_AT_LOCK_EVERY_S = 0.5
STORE_AGAIN_AFTER_S = (0.05, 0.2)
MAX_TAKEOVERS = 5
"""
How often a start tries again when its session changes meanwhile.

The first try is blind; the runs that it finds dead leave the queue only then.
"""
FEW = 4
"""So many runs ahead are read one by one; of more, those that have ended are read in batches."""


@dataclass(frozen=True)
class NewRun:
    """A run that is to be stored: with what, and what finds it if it is sent again."""

    run: AgentRun
    request: RunRequest
    claim: IdempotencyClaim | None = None
    fingerprint: str | None = None

    def first_try(self, ports: RunPorts) -> TriedAhead[tuple[str, AgentRun]]:
        """Return the first try to store it, which takes its session to be free."""
        return TriedAhead(partial(self.store, self.run, ports, seen=FREE, dead=()))

    def store(
        self, offered: AgentRun, ports: RunPorts, *, seen: SessionLock, dead: Collection[str]
    ) -> tuple[str, AgentRun]:
        """Store the run as it is offered, with a lease that begins now; see the port's `start`."""
        leased = offered.renewed(ports.clock.now())
        start = partial(ports.store.start, leased, self.request, self.claim)
        return start(seen=seen, dead=dead, fingerprint=self.fingerprint), leased


async def store_or_queue(
    new: NewRun,
    *,
    policy: SessionPolicy,
    ports: RunPorts,
    first: TriedAhead[tuple[str, AgentRun]] | None = None,
) -> tuple[str, AgentRun]:
    """
    Store a new run if its session is free, or else do what the policy says.

    Its lease begins with the write that stores it.

    Args:
        new: The run.
        policy: What to do while another run uses the session.
        ports: Where runs are kept.
        first: The first try, if it may have been made already.

    Returns:
        The id of the run that is stored, perhaps an earlier one with the same claim; and the new
        run, RUNNING or QUEUED, with the lease that it is stored with.

    Raises:
        ConflictError: The session is busy and the policy is REJECT.
        TooManyRunsError: The session's queue is full. Nothing was written.
        AgentrunError: As the port's `start` says.
    """
    run, tried = new.run, first or new.first_try(ports)
    for _ in range(MAX_TAKEOVERS):
        try:
            return await _stored(tried, ports)
        except SessionBusyError as busy:
            seen = busy.lock
        at_most = 1 if policy is SessionPolicy.REJECT else None
        ahead = await live_runs(run.org_id, seen.before(run.id), ports, at_most=at_most)
        if not ahead:
            dead = frozenset(seen.before(run.id)) if run.is_background else frozenset()
            tried = TriedAhead(partial(new.store, run, ports, seen=seen, dead=dead))
            continue
        if policy is SessionPolicy.REJECT:
            raise ConflictError(
                f"The session '{run.session_id}' is busy with the run '{ahead[0].id}'."
            )
        dead = frozenset(seen.queue) - {living.id for living in ahead}
        if seen.without(dead).is_full:
            raise _queue_is_full(run)
        if policy is SessionPolicy.INTERRUPT:
            await _cancel(ahead, ports)
        waiting = run if run.is_background else run.queued()
        tried = TriedAhead(partial(new.store, waiting, ports, seen=seen, dead=dead))
    raise StoreUnavailableError("The session changes hands too often at the moment.")


def _queue_is_full(run: AgentRun) -> TooManyRunsError:
    return TooManyRunsError(
        f"At most {MAX_QUEUED} runs may wait in the session '{run.session_id}'.",
        retry_after_s=RETRY_AFTER_S,
    )


async def _stored(tried: TriedAhead[tuple[str, AgentRun]], ports: RunPorts) -> tuple[str, AgentRun]:
    """Store the run; try again if it collides with another write of the session or the key."""
    # Random, so that two starts that have collided do not collide again.
    pauses = (random.uniform(0.5, 1) * pause_s for pause_s in STORE_AGAIN_AFTER_S)  # noqa: S311
    return await retried(lambda: tried.take(ports.threads), pauses)


async def _cancel(runs: Iterable[AgentRun], ports: RunPorts) -> None:
    for run in runs:
        await in_thread(ports.threads, ports.store.request_cancel, run.key, at=ports.clock.now())


async def live_runs(
    tenant: str, run_ids: Iterable[str], ports: RunPorts, *, at_most: int | None = None
) -> Sequence[AgentRun]:
    """
    Return those of the runs that are QUEUED or RUNNING, and settle the dead ones before them.

    A run that is over, paused or gone is in nobody's way, even if it has not let go of its session.
    Reads are consistent; only which of many runs have ended may be read late, since that is final.

    Args:
        tenant: Whose runs.
        run_ids: Which runs, in their order.
        ports: Where they are.
        at_most: How many live ones to look for; None for all.

    Raises:
        StoreUnavailableError: Retrying is safe.
    """
    keys = [RunKey(tenant=tenant, run_id=run_id) for run_id in run_ids]
    found: list[AgentRun] = []
    for number, key in enumerate(keys):
        if len(found) == at_most:
            break
        if number == FEW:
            ended = await in_thread(ports.threads, _ended, keys[FEW:], ports)
        if number >= FEW and key in ended:
            continue
        try:
            run = await in_thread(ports.threads, settled_state, key, ports)
        except RunNotFoundError:
            continue
        if run.status in UNDER_WAY:
            found.append(run)
    return found


def _ended(keys: Sequence[RunKey], ports: RunPorts) -> set[RunKey]:
    """Return those of the runs that have ended, as far as the store has heard of it."""
    states = read_many(keys, with_text=False, consistent=False, ports=ports)
    return {key for key, run in states.items() if run.status.is_terminal}


async def wait_in_queue(
    run: AgentRun, executor: str, *, conversations: ConversationStore, ports: RunPorts
) -> AgentRun:
    """
    Wait until all runs ahead of a QUEUED one are over, then make it RUNNING.

    While the store is unavailable it waits on; the caller has to renew the run's lease.

    Raises:
        FencedError: Somebody has ended the run meanwhile.
    """

    async def begin() -> AgentRun:
        lock = await in_thread(ports.threads, conversations.lock, run.org_id, run.session_id)
        if await live_runs(run.org_id, lock.before(run.id), ports, at_most=1):
            raise SessionBusyError(lock)
        start, at = ports.store.begin_queued, ports.clock.now()
        return await in_thread(ports.threads, start, run, executor, seen=lock, at=at)

    waits_for = (SessionBusyError, StoreUnavailableError)
    return await retried(begin, every(LOOK_AT_LOCK_EVERY_S), on=waits_for)
