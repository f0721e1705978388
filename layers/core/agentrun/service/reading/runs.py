"""
Read runs, one or many, and cancel them.

Reading a run that has lost its executor asks for another one, or settles the run.
"""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress

from agentrun.domain.endings import can_go_on, lease_has_lapsed
from agentrun.domain.errors import (
    FencedError,
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.value import ID_PATTERN
from agentrun.service.ports import RunPorts

MAX_LOOKS = 3
"""
How often to read a run again that changes between its reading and its repair.

That is enough for a cancel during a repair, and for one more change.
"""
READ_SCOPES = frozenset({"runs:read", "runs:write"})
REPAIR_PATIENCE_S = 3.0
"""How long one answer waits for its repairs; a later reader makes the rest."""
MAX_BATCH = 100
"""BatchGetItem's limit."""

log = logging.getLogger(__name__)


def get_run(
    principal: Principal, agent_id: str | None, run_id: str, *, ports: RunPorts
) -> AgentRun:
    """
    Read one run with its texts, as it is at this moment; without an `agent_id`, of any agent.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or the caller may not see it; both look the same.
        StoreUnavailableError: Retrying is safe.
    """
    key = _key(principal, run_id)
    for _ in range(MAX_LOOKS):
        run = ports.store.get(key)
        _check_visible(run, principal, agent_id)
        now = ports.clock.now()
        if not lease_has_lapsed(run, now):
            return run
        if can_go_on(run):
            ask_for_executor(run, ports)
            return run
        # Somebody else was faster and may have changed the texts, too.
        with suppress(FencedError):
            return ports.store.settle(run, at=now)
    raise StoreUnavailableError("The run is changing too fast to be read.")


def visible_to_follow(
    principal: Principal, agent_id: str, run_id: str, ports: RunPorts
) -> AgentRun:
    """Read one run as `followed_state` does; raises what `get_run` does."""
    run = followed_state(_key(principal, run_id), ports)
    _check_visible(run, principal, agent_id)
    return run


def followed_state(key: RunKey, ports: RunPorts) -> AgentRun:
    """
    Read one run of any user for somebody who follows it, and can take it over.

    It is settled if nobody may go on with it; otherwise it is returned as it is stored.

    Raises:
        RunNotFoundError: There is none.
        StoreUnavailableError: Retrying is safe.
    """
    run = ports.store.get_state(key)
    return run if can_go_on(run) else recovered(run, ports)


def visible_state(
    principal: Principal, agent_id: str | None, run_id: str, ports: RunPorts
) -> AgentRun:
    """Read one run without its texts; raises what `get_run` does."""
    run = ports.store.get_state(_key(principal, run_id))
    _check_visible(run, principal, agent_id)
    return recovered(run, ports)


def visible_run(principal: Principal, run_id: str, ports: RunPorts) -> AgentRun:
    """Read one run of any agent without its texts; otherwise like `visible_state`."""
    run = ports.store.get_state(_key(principal, run_id))
    return visible_state(principal, run.agent_id, run_id, ports)


def settled_state(key: RunKey, ports: RunPorts) -> AgentRun:
    """
    Read one run of any user without its texts; if its lease has lapsed, settle it or ask for more.

    Raises:
        RunNotFoundError: There is none.
        StoreUnavailableError: Retrying is safe.
    """
    return recovered(ports.store.get_state(key), ports)


def recovered(run: AgentRun, ports: RunPorts) -> AgentRun:
    """
    Return a run as it is once a lapsed lease has been seen to; it blocks.

    If nobody may go on with it, it is settled, again if a cancel that came in between has changed
    its end. Otherwise an executor is asked for, and the run is returned as it is.

    Raises:
        RunNotFoundError: It is gone.
        StoreUnavailableError: Retrying is safe.
    """
    now = ports.clock.now()
    for _ in range(MAX_LOOKS):
        if not lease_has_lapsed(run, now):
            break
        if can_go_on(run):
            ask_for_executor(run, ports)
            break
        run = ports.store.expire(run, at=now)
    return run


def ask_for_executor(run: AgentRun, ports: RunPorts) -> None:
    """
    Ask for an executor for a run that has lost its own, unless somebody has just done so.

    If that fails, the next reader asks.
    """
    try:
        if ports.journal.may_ask(run, at=ports.clock.now()):
            ports.queue.send(run.key)
    except StoreUnavailableError as error:
        log.warning("no executor asked for: %s", error, extra={"runId": run.id})


def _key(principal: Principal, run_id: str) -> RunKey:
    check_may_read(principal)
    if not ID_PATTERN.fullmatch(run_id):
        raise RunNotFoundError(run_id)
    return RunKey(tenant=principal.tenant, run_id=run_id)


def _check_visible(run: AgentRun, principal: Principal, agent_id: str | None) -> None:
    if not _is_visible(run, principal, agent_id):
        raise RunNotFoundError(run.id)


def get_runs(
    principal: Principal,
    agent_id: str | None,
    run_ids: Sequence[str],
    *,
    with_text: bool,
    ports: RunPorts,
) -> list[AgentRun]:
    """
    Read many runs in the given order; leave out those that are missing or not visible.

    A run whose lease has lapsed is shown as ended once that is written, until then as it is stored.

    Args:
        principal: The verified caller.
        agent_id: The agent whose runs these are; None: any.
        run_ids: Any number of distinct ids; `distinct_run_ids` limits those of a request.
        with_text: Whether to read `input` and `output`, cut to 4096 bytes each.
        ports: Where the runs are, and the time.

    Raises:
        ForbiddenError: The token lacks the scope.
        StoreUnavailableError: Not all answers came in time; retrying is safe.
    """
    check_may_read(principal)
    keys = [
        RunKey(tenant=principal.tenant, run_id=run_id)
        for run_id in run_ids
        if ID_PATTERN.fullmatch(run_id)
    ]
    found = read_many(keys, with_text=with_text, consistent=False, ports=ports)
    runs = [found[key] for key in keys if key in found]
    visible = [run for run in runs if _is_visible(run, principal, agent_id)]
    return _repaired(visible, with_text=with_text, ports=ports)


def _repaired(runs: Sequence[AgentRun], *, with_text: bool, ports: RunPorts) -> list[AgentRun]:
    """
    Settle the runs whose lease has lapsed, and return all runs as they are stored by then.

    For those that another executor may go on with, ask for one instead.

    A run that cannot be settled in time is returned as it was: its executor may still come back.
    A run that somebody else has changed meanwhile is read again, or left out if it is gone. Do not
    call this from one of the ports' threads, which make the repairs.

    Raises:
        StoreUnavailableError: What has changed could not be read; retrying is safe.
    """
    now = ports.clock.now()
    alone = [run for run in runs if lease_has_lapsed(run, now)]
    asking = [ports.threads.submit(ask_for_executor, run, ports) for run in alone if can_go_on(run)]
    lapsed = [run for run in alone if not can_go_on(run)]
    wait(asking, timeout=REPAIR_PATIENCE_S)
    if not lapsed:
        return list(runs)
    repairs = {run.key: ports.threads.submit(ports.store.settle, run, at=now) for run in lapsed}
    wait(repairs.values(), timeout=REPAIR_PATIENCE_S)
    settled = {run.key: _outcome(run, repairs[run.key]) for run in lapsed}
    changed = [key for key, run in settled.items() if run is None]
    read_anew = read_many(changed, with_text=with_text, consistent=True, ports=ports)
    known: dict[RunKey, AgentRun | None] = {run.key: run for run in runs}
    known |= settled
    known |= read_anew
    return [found for run in runs if (found := known[run.key]) is not None]


def _outcome(run: AgentRun, repair: Future[AgentRun]) -> AgentRun | None:
    """Return the run as it is after its repair; None if somebody else has changed it."""
    if repair.cancel() or not repair.done():
        return run
    try:
        return repair.result()
    except FencedError:
        return None
    except StoreUnavailableError as error:
        log.warning("lapsed run not repaired: %s", error, extra={"runId": run.id})
        return run


def read_many(
    keys: Sequence[RunKey], *, with_text: bool, consistent: bool, ports: RunPorts
) -> dict[RunKey, AgentRun]:
    """Read any number of runs, otherwise like the port's `get_many`."""
    found: dict[RunKey, AgentRun] = {}
    for start in range(0, len(keys), MAX_BATCH):
        some = keys[start : start + MAX_BATCH]
        found |= ports.store.get_many(some, with_text=with_text, consistent=consistent)
    return found


def distinct_run_ids(values: Iterable[str]) -> list[str]:
    """
    Read the parameter `runIds`, comma separated or repeated, without empty ids and duplicates.

    Raises:
        InvalidRequestError: More than 100 distinct ids.
    """
    ids = [part.strip() for value in values for part in value.split(",")]
    distinct = list(dict.fromkeys(part for part in ids if part))
    if len(distinct) > MAX_BATCH:
        raise InvalidRequestError(
            f"At most {MAX_BATCH} run ids can be asked for at once, not {len(distinct)}.",
            params=[("runIds", f"holds {len(distinct)} ids")],
        )
    return distinct


def check_may_read(principal: Principal) -> None:
    """
    Check that a caller may read runs.

    Raises:
        ForbiddenError: The token lacks the scope.
    """
    if not principal.is_admin and not principal.scopes & READ_SCOPES:
        raise ForbiddenError("Reading runs needs the scope runs:read.")


def _is_visible(run: AgentRun, principal: Principal, agent_id: str | None) -> bool:
    return agent_id in {None, run.agent_id} and principal.may_see(run.user_id)


def cancel_run(principal: Principal, agent_id: str | None, run_id: str, *, ports: RunPorts) -> None:
    """
    End a QUEUED or PAUSED run; ask a RUNNING one to end, which it does at its next heartbeat.

    Cancelling again, or cancelling a run that has ended, changes nothing and is no error.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or the caller may not see it.
        StoreUnavailableError: Retrying is safe.
    """
    principal.check_may_write()
    run = visible_state(principal, agent_id, run_id, ports)
    if not run.status.is_terminal:
        ports.store.request_cancel(run.key, at=ports.clock.now())
