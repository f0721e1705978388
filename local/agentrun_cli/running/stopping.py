"""Stop runs: those that are named, or all that have not ended."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentrun_client import ApiError, Run, RunStatus

ACTIVE: tuple[RunStatus, ...] = ("QUEUED", "PAUSED", "RUNNING")
"""In the order in which to stop them: what waits might begin while the others end."""
LOOK_AGAIN_EVERY_S = 1.0
"""An executor sees within 3 s that its run is to end."""


class Runs(Protocol):
    """What is needed of the client's runs."""

    def list(self, *, status: RunStatus | None = None) -> Iterator[Run]:
        """Iterate over all runs of a status that the caller sees."""
        ...

    def get(self, run_id: str) -> Run:
        """Return a run's record."""
        ...

    def cancel(self, run_id: str) -> None:
        """Ask for a run's end."""
        ...


@dataclass
class Stopped:
    """What has come of stopping runs: which have ended, which not, and which were refused."""

    ended: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether every run has ended."""
        return not self.left and not self.refused

    def told(self) -> str:
        """Say it in lines."""
        lines = [f"not stopped: {reason}" for reason in self.refused.values()]
        lines += [f"not ended yet: {run_id}" for run_id in sorted(self.left)]
        return "\n".join([*lines, f"stopped {_runs(len(self.ended))}"])


@dataclass
class Asked:
    """What has come of asking for the end of runs: how many will end, and which will not."""

    count: int = 0
    ended_before: dict[str, RunStatus] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether every run has ended or will."""
        return not self.refused

    def told(self) -> str:
        """Say it in lines."""
        lines = [f"not stopped: {reason}" for reason in self.refused.values()]
        lines += [
            f"the run '{run_id}' had ended already: {status}"
            for run_id, status in self.ended_before.items()
        ]
        return "\n".join([*lines, f"asked {_runs(self.count)} to end"])


def stop_named(runs: Runs, run_ids: Sequence[str]) -> Asked:
    """
    Ask for the end of these runs, and do not wait for it.

    Raises:
        AgentrunError: The deployment does not answer.
    """
    asked = Asked()
    for run_id in dict.fromkeys(run_ids):
        try:
            status = runs.get(run_id).status
            if status in ACTIVE:
                runs.cancel(run_id)
                asked.count += 1
            else:
                asked.ended_before[run_id] = status
        except ApiError as error:
            asked.refused[run_id] = _refusal(run_id, error)
    return asked


def stop_all(
    runs: Runs,
    *,
    within_s: float,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Stopped:
    """
    Stop every run that the caller sees and that has not ended, until there is none, or time is up.

    Runs that begin meanwhile are stopped, too. Each is asked once.

    Args:
        runs: The deployment's.
        within_s: How long to go on.
        tell: Is told what is done.
        clock: Returns seconds that only go forward.
        sleep: Waits between two looks.

    Raises:
        AgentrunError: The deployment does not list runs, or does not answer.
    """
    stopped, asked = Stopped(), set[str]()
    give_up_at = clock() + within_s
    while True:
        stopped.left = set()
        for run in (run for status in ACTIVE for run in runs.list(status=status)):
            stopped.left.add(run.id)
            if run.id not in asked:
                asked.add(run.id)
                tell(f"stopping {run.id}, {run.status}, of {run.user_id}")
                try:
                    runs.cancel(run.id)
                except ApiError as error:
                    stopped.refused[run.id] = _refusal(run.id, error)
            if clock() >= give_up_at:
                break
        stopped.left -= stopped.refused.keys()
        stopped.ended = asked - stopped.left - stopped.refused.keys()
        if not stopped.left or clock() >= give_up_at:
            return stopped
        sleep(LOOK_AGAIN_EVERY_S)


def _refusal(run_id: str, error: ApiError) -> str:
    return f"the run '{run_id}': {error.status} {error.detail}".rstrip()


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
