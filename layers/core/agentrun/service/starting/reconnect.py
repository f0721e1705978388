"""Requests that a reader sends again: find the run that the first one has started."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import EVENT_ID_GAP, AgentRun, RunStatus
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.runs import settled_state
from agentrun.service.starting.start_run import LaunchPorts

RECONNECTED_WITHIN = timedelta(minutes=15)
"""Counted from the end of a run, or from its pause."""
LONGEST_RUN = timedelta(minutes=15)
"""Lambda stops an executor after this; the search for a run goes back so much further."""
LOOK_AGAIN_AFTER_S = 0.5
"""The index of sessions lags behind the table, usually by less than this."""
STORED_AFTER_S = 1.5
"""After this, what a live executor has said is stored: it writes a segment every 1.4 s."""
SILENT_AFTER_S = 5.0
"""After this, a live executor has renewed its lease: it does so every 2.75 s."""


@dataclass(frozen=True)
class SentAgain:
    """
    A request without a key that its reader sends again, after the event with the id `cursor`.

    `fingerprint` is what `Reader.fingerprint` returns; `cursor` is 1 or more.
    """

    agent_id: str
    request: RunRequest
    fingerprint: str
    cursor: int


async def run_sent_before(
    principal: Principal, sent: SentAgain, ports: LaunchPorts
) -> AgentRun | None:
    """
    Find the run that a reader without an Idempotency-Key goes on with.

    That is the newest run, under way or of the last 15 minutes, that the same caller has started
    with the same request, and that has had the last event that the reader has seen.

    Returns:
        The run as it is now, without its texts; None where the request is a new one.

    Raises:
        ForbiddenError: The token lacks the scope, or is for another tenant or user.
        StoreUnavailableError: Retrying is safe.
    """
    principal.check_may_write()
    request = sent.request
    user_id = principal.acting_for(request.org_id, request.user_id)
    without_that_event: set[str] = set()
    # The index may not have a run yet; a search by the session finds every run.
    for pause_s in (0, LOOK_AGAIN_AFTER_S) if request.session_id is None else (0,):
        await asyncio.sleep(pause_s)
        found = await in_thread(
            ports.runs.threads,
            ports.conversations.runs_of_request,
            principal.tenant,
            user_id,
            request,
            agent_id=sent.agent_id,
            fingerprint=sent.fingerprint,
            since=ports.runs.clock.now() - RECONNECTED_WITHIN - LONGEST_RUN,
        )
        for run in found:
            if run.id in without_that_event or not _is_recent(run, ports.runs):
                continue
            state = await _having_had(run, sent.cursor, ports.runs)
            # A run that was found under way may have been dead for long.
            if state is not None and _is_recent(state, ports.runs):
                return state
            without_that_event.add(run.id)
    return None


def _is_recent(run: AgentRun, ports: RunPorts) -> bool:
    # `updated_at` of a run that lost its executor is when somebody saw that, not its end.
    stopped_at = run.completed_at or run.updated_at
    return not _has_stopped(run) or ports.clock.now() - stopped_at <= RECONNECTED_WITHIN


def _has_stopped(run: AgentRun) -> bool:
    return run.status.is_terminal or run.status is RunStatus.PAUSED


async def _having_had(run: AgentRun, cursor: int, ports: RunPorts) -> AgentRun | None:
    """
    Return a run's state if it has had the event with the id `cursor`, else None.

    A run under way may have said more than is stored. A live executor soon stores it and renews its
    lease; of an executor that does neither, nobody can tell what it has said.
    """
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    seen, is_alive = run, False
    while True:
        try:
            run = await in_thread(ports.threads, settled_state, run.key, ports)
        except RunNotFoundError:
            return None
        if _has_stopped(run):
            return run if cursor <= run.last_event_id else None
        if cursor <= run.last_event_id or await _is_stored(run, cursor, ports):
            return run
        if cursor > run.last_event_id + EVENT_ID_GAP or is_alive:
            return None
        age_s = loop.time() - began_at
        if age_s < STORED_AFTER_S:
            seen = run
        elif run.lease != seen.lease:
            # Once more: the segment is written after the lease.
            is_alive = True
        elif age_s > SILENT_AFTER_S:
            return run
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)


async def _is_stored(run: AgentRun, event_id: int, ports: RunPorts) -> bool:
    read, at = ports.log.read, ports.clock.now()
    found = await in_thread(ports.threads, read, run.key, after=event_id - 1, at=at)
    return bool(found)
