"""How each kind of stream begins."""

from agentrun_client.following.openings import Opening, PlainOpening
from agentrun_client.following.resuming import ResumingOpening
from agentrun_client.following.resumption import Resumption
from agentrun_client.models.actions import Budget, Decisions
from agentrun_client.models.requests import StartOptions
from agentrun_client.wire import run_calls
from agentrun_client.wire.settings import Settings


def started(settings: Settings, agent: str, message: str, options: StartOptions) -> Resumption:
    """Return how a new run is read."""
    opening = PlainOpening(run_calls.start_stream(agent, message, options))
    return _resumption(settings, agent, opening, last_event_id=0)


def attached(settings: Settings, agent: str, run_id: str, after: int) -> Resumption:
    """Return how a run is read that was started before."""
    if after < 0:
        raise ValueError(f"`after` is the id of an event or 0, not {after}")
    opening = PlainOpening(run_calls.attach(agent, run_id, after), run_id)
    return _resumption(settings, agent, opening, last_event_id=after)


def resumed(
    settings: Settings, agent: str, run_id: str, decisions: Decisions, budget: Budget | None
) -> Resumption:
    """Return how a paused run is continued and read."""
    opening = ResumingOpening(agent, run_id, decisions, budget)
    return _resumption(settings, agent, opening, last_event_id=None)


def _resumption(
    settings: Settings, agent: str, opening: Opening, *, last_event_id: int | None
) -> Resumption:
    return Resumption(
        agent,
        opening,
        last_event_id=last_event_id,
        tries=settings.tries_of_stream(),
        limit=settings.max_reattaches,
    )
