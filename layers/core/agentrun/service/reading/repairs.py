"""Write down that runs are dead, many within a time; what is not written is not told."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, wait

from agentrun.domain.errors import FencedError, StoreUnavailableError
from agentrun.domain.runs import AgentRun, RunKey, lease_has_lapsed
from agentrun.service.ports import RunPorts

PATIENCE_S = 3.0
"""How long one answer waits for its repairs; a later reader makes those that are not done."""
MAX_BATCH = 100
"""BatchGetItem's limit."""

log = logging.getLogger(__name__)


def repaired(runs: Sequence[AgentRun], *, with_text: bool, ports: RunPorts) -> list[AgentRun]:
    """
    Settle the lapsed ones of many runs, and return all as they are stored by then.

    One that cannot be settled in time is returned as it was seen: its executor may still come back.
    One that somebody else has changed meanwhile is read anew, with its texts where they are wanted;
    if it is gone, it is left out. Not to be called from one of the ports' threads, which make the
    repairs.

    Raises:
        StoreUnavailableError: What has changed could not be read; retrying is safe.
    """
    now = ports.clock.now()
    lapsed = [run for run in runs if lease_has_lapsed(run, now)]
    if not lapsed:
        return list(runs)
    repairs = {run.key: ports.threads.submit(ports.store.settle, run, at=now) for run in lapsed}
    wait(repairs.values(), timeout=PATIENCE_S)
    settled = {run.key: _outcome(run, repairs[run.key]) for run in lapsed}
    changed = [key for key, run in settled.items() if run is None]
    read_anew = read_many(changed, with_text=with_text, consistent=True, ports=ports)
    known: dict[RunKey, AgentRun | None] = {run.key: run for run in runs}
    known |= settled
    known |= read_anew
    return [found for run in runs if (found := known[run.key]) is not None]


def _outcome(run: AgentRun, repair: Future[AgentRun]) -> AgentRun | None:
    """Return what a repair has come to: the run as it is stored; None where others changed it."""
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
