"""Read runs: one, or many at once; whoever reads a dead run declares it so."""

import logging
from collections.abc import Iterable, Sequence

from agentrun.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    RunNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.model import ID_PATTERN
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun, RunKey, RunStatus, lease_has_lapsed, settled
from agentrun.service.run_ports import RunPorts

MAX_BATCH = 100
"""BatchGetItem's limit."""
MAX_REPAIRS = 10
"""Bounds the writes that one batch may cause; the next reader repairs the rest."""
SETTLE_ATTEMPTS = 3
"""Enough for a cancel during a repair, and for the end of the pause that comes of both."""
READ_SCOPES = frozenset({"runs:read", "runs:write"})

log = logging.getLogger(__name__)


def get_run(principal: Principal, agent_id: str, run_id: str, *, ports: RunPorts) -> AgentRun:
    """
    Read one run whole, as it is at this moment.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or it is not the caller's to see; both look the same.
        StoreUnavailableError: Retrying is safe.
    """
    run = ports.store.get(_key(principal, run_id))
    _check_visible(run, principal, agent_id)
    if not lease_has_lapsed(run, ports.clock.now()):
        return run
    texts = {"input": run.input, "output": run.output}
    return ports.store.expire(run, at=ports.clock.now()).model_copy(update=texts)


def visible_state(principal: Principal, agent_id: str, run_id: str, ports: RunPorts) -> AgentRun:
    """Read one run without its texts; otherwise, and in its errors, like `get_run`."""
    run = ports.store.get_state(_key(principal, run_id))
    _check_visible(run, principal, agent_id)
    return _settled(run, ports)


def visible_run(principal: Principal, run_id: str, ports: RunPorts) -> AgentRun:
    """Read one run of whatever agent without its texts; otherwise like `visible_state`."""
    run = ports.store.get_state(_key(principal, run_id))
    return visible_state(principal, run.agent_id, run_id, ports)


def settled_state(key: RunKey, ports: RunPorts) -> AgentRun:
    """
    Read one run without its texts, whoever it belongs to; a dead one is declared so.

    Raises:
        RunNotFoundError: There is none.
        StoreUnavailableError: Retrying is safe.
    """
    return _settled(ports.store.get_state(key), ports)


def _settled(run: AgentRun, ports: RunPorts) -> AgentRun:
    """Settle a run as long as that is due: a cancel that comes in between changes its end."""
    now = ports.clock.now()
    for _ in range(SETTLE_ATTEMPTS):
        if not lease_has_lapsed(run, now):
            break
        run = ports.store.expire(run, at=now)
    return run


def _key(principal: Principal, run_id: str) -> RunKey:
    check_may_read(principal)
    if not ID_PATTERN.fullmatch(run_id):
        raise RunNotFoundError(run_id)
    return RunKey(tenant=principal.tenant, run_id=run_id)


def _check_visible(run: AgentRun, principal: Principal, agent_id: str) -> None:
    if not _is_visible(run, principal, agent_id):
        raise RunNotFoundError(run.id)


def get_runs(
    principal: Principal,
    agent_id: str,
    run_ids: Sequence[str],
    *,
    with_text: bool,
    ports: RunPorts,
) -> list[AgentRun]:
    """
    Read many runs in the order asked for; those not there or not visible are left out.

    Args:
        principal: The verified caller.
        agent_id: The agent whose runs these are.
        run_ids: What `distinct_run_ids` gave.
        with_text: Whether `input` and `output` are wanted, cut to 4096 bytes each.
        ports: Where the runs are, and what time it is.

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
    found = ports.store.get_many(keys, with_text=with_text) if keys else {}
    runs = [found[key] for key in keys if key in found]
    visible = [run for run in runs if _is_visible(run, principal, agent_id)]
    return _with_the_dead_declared(visible, ports)


def distinct_run_ids(values: Iterable[str]) -> list[str]:
    """
    Read the parameter `runIds`: comma separated or repeated, empty ones and duplicates dropped.

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
    Let through who may read runs.

    Raises:
        ForbiddenError: The token lacks the scope.
    """
    if not principal.is_admin and not principal.scopes & READ_SCOPES:
        raise ForbiddenError("Reading runs needs the scope runs:read.")


def _is_visible(run: AgentRun, principal: Principal, agent_id: str) -> bool:
    return run.agent_id == agent_id and principal.may_see(run.user_id)


def _with_the_dead_declared(runs: Sequence[AgentRun], ports: RunPorts) -> list[AgentRun]:
    """Report every lapsed run as failed, and write down a bounded number of them."""
    repairs = 0
    reported: list[AgentRun] = []
    for run in runs:
        if not lease_has_lapsed(run, ports.clock.now()):
            reported.append(run)
        elif repairs < MAX_REPAIRS:
            repairs += 1
            reported.append(_declared_dead(run, ports))
        else:
            reported.append(_as_settled(run, ports))
    return reported


def _as_settled(run: AgentRun, ports: RunPorts) -> AgentRun:
    """Say what becomes of a lapsed run without writing it down."""
    if run.status is RunStatus.RUNNING and run.required_action is not None:
        # Paused again or failed: only its log tells, and a wrong end could not be taken back.
        return run
    return settled(run, last_stored_event_id=run.last_event_id, at=ports.clock.now())


def _declared_dead(run: AgentRun, ports: RunPorts) -> AgentRun:
    texts = run.model_dump(
        include={"input", "input_truncated", "output", "output_truncated"}, by_alias=False
    )
    try:
        return ports.store.expire(run, at=ports.clock.now()).model_copy(update=texts)
    except (StoreUnavailableError, RunNotFoundError) as error:
        log.warning("lapsed run not repaired: %s", error, extra={"runId": run.id})
        return _as_settled(run, ports)
