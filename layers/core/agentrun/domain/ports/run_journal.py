"""The port for how a run passes from one executor to the next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.events import Metrics, RecordedEvent
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunKey
from agentrun.domain.steps import Step


class RunJournal(Protocol):
    """Keeps the steps of runs, and lets one executor after the other have a run; methods block."""

    def write(
        self,
        key: RunKey,
        executor: str,
        step: Step,
        events: Sequence[RecordedEvent],
        *,
        at: datetime,
        lease_until: datetime,
    ) -> AgentRun:
        """
        Store a step with the events up to it as one segment, and renew the lease; all or nothing.

        Its own earlier success counts as success.

        Args:
            key: Tenant and run id.
            executor: Who holds the run's lease.
            step: The step; the next number after the run's last one.
            events: Consecutive events, not stored yet, the last of them the step's `event_id`; none
                if all are stored. Of at most 256 KB as they are stored.
            at: Aware UTC instant.
            lease_until: Until when the executor is to be believed alive.

        Returns:
            The run as stored, without input and output; `cancel_requested` is what to look at.

        Raises:
            FencedError: Another executor owns the run or it is not RUNNING; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def steps(self, key: RunKey) -> Sequence[Step]:
        """
        Return the steps since the run began, or since its last continuation began, in order.

        All that was written before the call is there. The first step of a continuation is its
        `Continued`.

        Raises:
            EngineError: Some have expired, so that nobody knows what the run has done.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def request(self, key: RunKey) -> RunRequest:
        """
        Read what a run was asked, without the media.

        Raises:
            RunNotFoundError: The run is gone.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def take_over(self, seen: AgentRun, lease: Lease, *, at: datetime) -> AgentRun:
        """
        Let another executor have a QUEUED or RUNNING run that has none alive.

        All that decides on that is as it was `seen`: status, lease, last event. The session's lock
        goes with the run, if the run has it. A RUNNING run that was lost counts one more attempt,
        and its `last_event_id` is `EVENT_ID_GAP` after the log's last; one that was handed over
        counts none, and it is the next one. That is the id of the new executor's START. Its own
        earlier success counts as success.

        Returns:
            The run as stored, under the new lease, without input and output.

        Raises:
            FencedError: Somebody else has changed the run, or it is gone; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def hand_over(
        self, key: RunKey, executor: str, *, at: datetime, last_event_id: int, used: Metrics
    ) -> None:
        """
        Let go of a RUNNING run, all of whose events are stored, so that another goes on at once.

        Its own earlier success counts as success.

        Args:
            key: Tenant and run id.
            executor: Who holds the run's lease.
            at: Aware UTC instant.
            last_event_id: The last event that was said.
            used: The run's figures by now, of all executions together. What a step that never ends
                takes counts too: it would be made again for ever if only finished steps counted.

        Raises:
            FencedError: Another executor owns the run, or it has ended; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def may_ask(self, seen: AgentRun, *, at: datetime) -> bool:
        """
        Tell whether to ask for an executor for a run now; of many who see it, one may.

        Nobody else may for the next 15 s.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...
