"""What is known of one run in an example."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from agentrun.domain.runs import AgentRun, RunKey, RunStatus


class HasMoments(Protocol):
    """A process that has a number of moments."""

    @property
    def name(self) -> str: ...

    @property
    def loop(self) -> Any: ...


@dataclass
class RunFacts:
    """What is known of a run from what was applied to its store."""

    key: RunKey
    session: str
    user: str
    message: str
    executors: list[str] = field(default_factory=list)
    meanings: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    ends_told: list[AgentRun] = field(default_factory=list)
    versions: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    cancelled_at: float | None = None
    gone_at: float | None = None
    is_started: bool = False
    """Whether the process that stored it knows that."""
    acts: dict[str, list[str]] = field(default_factory=dict)
    """For each of its calls the executors that have begun it."""
    consents: dict[str, set[str]] = field(default_factory=dict)
    """For each of its calls the pauses in doubt after which somebody let it run again."""
    losses: int = 0
    handed_over: int = 0
    has_more_budget: bool = False


def content_of(run: AgentRun) -> tuple[Any, ...]:
    """Return what is told of a version of a run, and never changes."""
    return (
        run.status,
        run.completed_at,
        run.error_type,
        run.error_message,
        run.total_tokens,
        # A hand-over tells how long the run has lasted so far.
        run.duration_ms if run.status is not RunStatus.RUNNING else None,
        run.version,
        run.required_action,
        run.last_event_id if run.status.is_terminal else None,
    )
