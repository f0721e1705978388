"""Lists of runs and of approvals: where a run stands in one, and which page of it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agentrun.domain.events import PauseType, PendingApproval
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.value import Instant, Value, iso_milliseconds

ACTIVE = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PAUSED})
"""A run in one of these has not ended."""


def position_at(instant: datetime, run_id: str) -> str:
    """Return where a run stands in a list that is sorted by instants; sorts as the list does."""
    return f"{iso_milliseconds(instant)}#{run_id}"


def position_of_run(run: AgentRun) -> str:
    """Return where a run stands in a list of runs, which are sorted by when they were made."""
    return position_at(run.created_at, run.id)


@dataclass(frozen=True)
class ListedRun:
    """A run as a list has it; the agent is None where the list does not know it."""

    position: str
    agent_id: str | None = None

    @property
    def run_id(self) -> str:
        """Which run it is."""
        return self.position.rpartition("#")[2]


@dataclass(frozen=True)
class ListedPause:
    """A run that may be PAUSED, and since when: lists of pauses are sorted by that."""

    paused_at: datetime
    run_id: str

    @property
    def position(self) -> str:
        """Where the pause stands in the list."""
        return position_at(self.paused_at, self.run_id)


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list is to have; None: any."""

    status: RunStatus | None = None
    agent_id: str | None = None
    session_id: str | None = None

    def has(self, run: AgentRun) -> bool:
        """Tell whether a run is one of them."""
        return (
            self.status in {None, run.status}
            and self.agent_id in {None, run.agent_id}
            and self.session_id in {None, run.session_id}
        )


@dataclass(frozen=True)
class RunPage:
    """Some runs, the newest first, and where the next page begins."""

    runs: Sequence[AgentRun]
    next_cursor: str | None = None


class ApprovalStatus(StrEnum):
    """What has become of a pause."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Approval(Value):
    """One pause of a run: what it waits for, or has waited for."""

    approval_id: str
    run_id: str
    agent_id: str
    session_id: str
    type: PauseType
    approvals: tuple[PendingApproval, ...]
    created_at: Instant
    expires_at: Instant | None = None
    status: ApprovalStatus


@dataclass(frozen=True)
class ApprovalPage:
    """Some approvals, the oldest first, and where the next page begins."""

    approvals: Sequence[Approval]
    next_cursor: str | None = None
