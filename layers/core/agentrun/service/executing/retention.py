"""Keeps what a paused run had said before for as long as what its continuation says."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.runs import AgentRun
from agentrun.service.ports import RunPorts, in_thread

TRY_AGAIN_AFTER_S = 2.0
PATIENCE_S = 10.0
"""How long the end of an execution waits for it; of 1,000 segments each takes a few ms."""
RESERVE_S = 0.5
"""What is left of the process's time when it does not wait any longer."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def earlier_events_kept(
    run: AgentRun, ports: RunPorts, *, deadline: datetime | None
) -> AsyncGenerator[None, None]:
    """
    Move the expiry of a continued run's earlier events on, beside its execution.

    Where that does not succeed, a replay is not found once the first of them has expired.
    """
    if run.required_action is None:
        yield
        return
    keeping = asyncio.create_task(_keep(run, ports))
    try:
        yield
    finally:
        await asyncio.wait({keeping}, timeout=_patience_s(ports, deadline))
        if not keeping.done() or keeping.exception():
            cause = keeping.exception() if keeping.done() else None
            extra = {"runId": run.id}
            log.error("earlier events may expire early", exc_info=cause, extra=extra)
        keeping.cancel()


def _patience_s(ports: RunPorts, deadline: datetime | None) -> float:
    if deadline is None:
        return PATIENCE_S
    left_s = (deadline - ports.clock.now()).total_seconds() - RESERVE_S
    return max(0.0, min(PATIENCE_S, left_s))


async def _keep(run: AgentRun, ports: RunPorts) -> None:
    keep, at = ports.log.keep, ports.clock.now()
    while True:
        try:
            await in_thread(ports.threads, keep, run.key, since=run.created_at, at=at)
        except StoreUnavailableError:
            await asyncio.sleep(TRY_AGAIN_AFTER_S)
        else:
            return
