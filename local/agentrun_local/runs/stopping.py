"""Stop runs: those that are named, or all that have not ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentrun_local.runs.remote import RefusedError, RemoteRuns

LOOK_AGAIN_EVERY_S = 1.0
"""An executor sees within 3 s that its run is to end."""


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


def stop_named(runs: RemoteRuns, run_ids: Sequence[str]) -> Stopped:
    """
    Ask for the end of these runs, and do not wait for it.

    Raises:
        LocalStackError: The stack does not answer.
    """
    stopped = Stopped()
    for run_id in dict.fromkeys(run_ids):
        if _asked_to_end(runs, run_id, stopped):
            stopped.ended.add(run_id)
    return stopped


def stop_all(
    runs: RemoteRuns,
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
        runs: The stack's.
        within_s: How long to go on.
        tell: Is told what is done.
        clock: Returns seconds that only go forward.
        sleep: Waits between two looks.

    Raises:
        RefusedError: The stack does not list runs.
        LocalStackError: The stack does not answer.
    """
    stopped, asked = Stopped(), set[str]()
    give_up_at = clock() + within_s
    while True:
        stopped.left = set()
        for run in runs.active():
            run_id = str(run["id"])
            stopped.left.add(run_id)
            if run_id not in asked:
                asked.add(run_id)
                tell(f"stopping {run_id}, {run['status']}, of {run.get('userId')}")
                _asked_to_end(runs, run_id, stopped)
            if clock() >= give_up_at:
                break
        stopped.left -= stopped.refused.keys()
        stopped.ended = asked - stopped.left - stopped.refused.keys()
        if not stopped.left or clock() >= give_up_at:
            return stopped
        sleep(LOOK_AGAIN_EVERY_S)


def _asked_to_end(runs: RemoteRuns, run_id: str, stopped: Stopped) -> bool:
    try:
        runs.cancel(run_id)
    except RefusedError as error:
        stopped.refused[run_id] = str(error)
        return False
    return True
