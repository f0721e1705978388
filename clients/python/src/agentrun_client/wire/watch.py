"""Many runs, watched with one request for up to a hundred of them at a time."""

from collections.abc import Iterable, Sequence

from agentrun_client.errors import WaitTimeoutError
from agentrun_client.models.runs import Run
from agentrun_client.wire import run_calls
from agentrun_client.wire.call import Call

MISSED_POLLS = 3
"""A batch may lag behind, so a run counts as missing only when it is absent this often."""


class Watch:
    """Knows which runs are still under way, and what to ask next."""

    def __init__(
        self,
        agent: str,
        run_ids: Iterable[str],
        *,
        poll_every: float,
        timeout: float | None,
        now_s: float,
    ) -> None:
        """Begin at a time of a clock that only goes forward; all times are in seconds."""
        self.runs: dict[str, Run] = {}
        self._agent = agent
        self._pending = list(dict.fromkeys(run_ids))
        self._missed: dict[str, int] = {}
        self._poll_every = poll_every
        self._deadline = None if timeout is None else now_s + timeout

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way any more."""
        return not self._pending

    def calls(self) -> list[Call[tuple[Run, ...]]]:
        """Return the requests of one poll, of the runs that are under way."""
        return run_calls.get_batches(self._agent, self._pending, None)

    def take(self, found: Sequence[Run]) -> list[Run]:
        """Take what one poll has found, and return the runs that have changed."""
        changed = [run for run in found if self.runs.get(run.id) != run]
        self.runs.update((run.id, run) for run in found)
        seen = {run.id for run in found}
        for run_id in self._pending:
            missed = 0 if run_id in seen else self._missed.get(run_id, 0) + 1
            self._missed[run_id] = missed
        self._pending = [run_id for run_id in self._pending if self._goes_on(run_id)]
        return changed

    def _goes_on(self, run_id: str) -> bool:
        run = self.runs.get(run_id)
        if self._missed[run_id]:
            return self._missed[run_id] < MISSED_POLLS
        return run is not None and run.is_under_way

    def pause_s(self, now_s: float) -> float:
        """
        Return how long to wait before the next poll.

        Raises:
            WaitTimeoutError: There is no time for another one.
        """
        if self._deadline is None:
            return self._poll_every
        left = self._deadline - now_s
        if left <= 0:
            raise WaitTimeoutError(self.runs, tuple(self._pending))
        return min(self._poll_every, left)
