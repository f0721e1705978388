"""What became of a run whose executor has been fenced off, for the reader that it still has."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.events import RecordedEvent
from agentrun.domain.runs import AgentRun, RunKey, RunStatus
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.follow import said_of_ended
from agentrun.service.reading.state_events import end_event

RETRY_PAUSE_S = 0.25

T = TypeVar("T")


async def said_by_others(
    key: RunKey, ports: RunPorts, *, after: int, own_pause: int | None
) -> AsyncGenerator[RecordedEvent, None]:
    """
    Yield what log and header say after an event, as a replay would.

    Of a run that has ended that is all to its end. Of a run that is, or was, paused it is what the
    executor itself said up to its pause, if that was stored: what follows is a continuation, and
    somebody else's to tell. Of any other run it is nothing. A store that is not available is asked
    again, as long as the caller likes to wait.

    Args:
        key: The run.
        ports: Where it is kept.
        after: The last event that the reader has.
        own_pause: The id of the PAUSED that the executor wanted to say, if it did.

    Raises:
        RunNotFoundError: The run is gone.
    """
    run = await _patiently(lambda: ports.store.get_state(key), ports)
    if not run.status.is_terminal:
        if own_pause is None or run.last_event_id < own_pause:
            return
        run = _as_paused(run, own_pause)
    while said := said_of_ended(run, await _stored(key, ports, after)):
        after = said[-1].id
        for event in said:
            yield event
    if (end := end_event(run, after=after)) is not None:
        yield end


def _as_paused(run: AgentRun, event_id: int) -> AgentRun:
    """Return a run as it was when it had been paused, before anybody continued it."""
    changes = {"status": RunStatus.PAUSED, "last_event_id": event_id}
    return run.model_copy(update=changes)


async def _stored(key: RunKey, ports: RunPorts, after: int) -> "list[RecordedEvent]":
    return list(
        await _patiently(lambda: ports.log.read(key, after=after, at=ports.clock.now()), ports)
    )


async def _patiently(read: Callable[[], T], ports: RunPorts) -> T:
    while True:
        try:
            return await in_thread(ports.threads, read)
        except StoreUnavailableError:
            await asyncio.sleep(RETRY_PAUSE_S)
