"""One run at a time in a session: who is in the way, and waiting for one's turn."""

import asyncio
import random
from collections.abc import Collection, Iterable, Sequence
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
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.runs import settled_state

LOOK_AGAIN_AFTER_S = 0.5
RETRY_PAUSES_S = (0.05, 0.2)
MAX_TAKEOVERS = 5
"""
How often a start looks again when the session changes under it.

The first look is blind, and those that it declares dead then leave the queue by themselves.
"""
FEW = 4
"""So many runs ahead are looked at one by one; of more, those that have ended are found at once."""
MAX_BATCH = 100
"""BatchGetItem's limit."""


async def store_or_queue(
    run: AgentRun,
    request: RunRequest,
    claim: IdempotencyClaim | None,
    *,
    policy: SessionPolicy,
    ports: RunPorts,
    fingerprint: str | None = None,
) -> tuple[str, AgentRun]:
    """
    Store a new run when its session is free, or as the policy says when it is not.

    Its lease begins with the write that stores it, whatever the run's says.

    Returns:
        The id of the run that is stored, perhaps an earlier one with the same claim; and the run
        as it was offered, RUNNING or QUEUED, with the lease that it is stored with.

    Raises:
        ConflictError: The session is busy and the policy is to reject.
        TooManyRunsError: As many runs as may wait in the session are waiting. Nothing was written.
        AgentrunError: As the port's `start` says.
    """
    store = partial(_store, request=request, claim=claim, fingerprint=fingerprint, ports=ports)
    offered, seen, dead = run, FREE, frozenset[str]()
    for _ in range(MAX_TAKEOVERS):
        try:
            return await store(offered, seen=seen, dead=dead)
        except SessionBusyError as busy:
            seen = busy.lock
        at_most = 1 if policy is SessionPolicy.REJECT else None
        ahead = await live_runs(run.org_id, seen.before(run.id), ports, at_most=at_most)
        if not ahead:
            offered, dead = run, frozenset()
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
        offered = run.model_copy(update={"status": RunStatus.QUEUED, "started_at": None})
    raise StoreUnavailableError("The session changes hands too often at the moment.")


def _queue_is_full(run: AgentRun) -> TooManyRunsError:
    return TooManyRunsError(
        f"At most {MAX_QUEUED} runs may wait in the session '{run.session_id}'.",
        retry_after_s=RETRY_AFTER_S,
    )


async def _store(
    run: AgentRun,
    *,
    request: RunRequest,
    claim: IdempotencyClaim | None,
    fingerprint: str | None,
    seen: SessionLock,
    dead: Collection[str],
    ports: RunPorts,
) -> tuple[str, AgentRun]:
    """Store the run; one that collides with another write of the session or key goes again."""

    async def attempt() -> tuple[str, AgentRun]:
        leased = _leased_now(run, ports)
        start = partial(ports.store.start, leased, request, claim, fingerprint=fingerprint)
        return await in_thread(ports.threads, start, seen=seen, dead=dead), leased

    for pause_s in RETRY_PAUSES_S:
        try:
            return await attempt()
        except StoreUnavailableError:
            await asyncio.sleep(random.uniform(0.5, 1) * pause_s)  # noqa: S311 - only spreads load
    return await attempt()


def _leased_now(run: AgentRun, ports: RunPorts) -> AgentRun:
    """Return a run with its lease as it is to be written at this moment."""
    if run.lease is None:
        raise ValueError("an execution needs its run's lease")
    return run.model_copy(update={"lease": run.lease.renewed(ports.clock.now())})


async def _cancel(runs: Iterable[AgentRun], ports: RunPorts) -> None:
    for run in runs:
        await in_thread(ports.threads, ports.store.request_cancel, run.key, at=ports.clock.now())


async def live_runs(
    tenant: str, run_ids: Iterable[str], ports: RunPorts, *, at_most: int | None = None
) -> Sequence[AgentRun]:
    """
    Return those of the runs that are QUEUED or RUNNING; the dead before them are declared so.

    A run that is over, paused or gone is in nobody's way, even if it has not let go of its session.
    Each is read with all that was written before, but for those of many that have ended: what has
    is so for ever, however late it is read.

    Args:
        tenant: Whose runs.
        run_ids: Which runs, in their order.
        ports: Where they are.
        at_most: How many live ones to look for; None: all.

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
        if run.status in {RunStatus.QUEUED, RunStatus.RUNNING}:
            found.append(run)
    return found


def _ended(keys: Sequence[RunKey], ports: RunPorts) -> set[RunKey]:
    """Return those of the runs that have ended, as far as the store has heard of it."""
    ended: set[RunKey] = set()
    for start in range(0, len(keys), MAX_BATCH):
        states = ports.store.get_many(keys[start : start + MAX_BATCH], with_text=False)
        ended |= {key for key, run in states.items() if run.status.is_terminal}
    return ended


async def wait_in_queue(
    run: AgentRun, executor: str, *, conversations: ConversationStore, ports: RunPorts
) -> AgentRun:
    """
    Wait until all runs ahead of a QUEUED one are over, then make it RUNNING.

    The store being away only makes it wait longer; its lease is somebody else's to renew.

    Raises:
        FencedError: Somebody has ended the run meanwhile.
    """
    while True:
        try:
            lock = await in_thread(ports.threads, conversations.lock, run.org_id, run.session_id)
            if not await live_runs(run.org_id, lock.before(run.id), ports, at_most=1):
                return await in_thread(
                    ports.threads,
                    ports.store.begin_queued,
                    run,
                    executor,
                    seen=lock,
                    at=ports.clock.now(),
                )
        except (SessionBusyError, StoreUnavailableError):
            pass
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)
