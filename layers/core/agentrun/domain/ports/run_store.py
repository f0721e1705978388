"""The port for the state of runs."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.conversations import FREE, SessionLock
from agentrun.domain.endings import EndProgress, Outcome
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunKey
from agentrun.domain.steps import Step
from agentrun.domain.turns import Checkpoint


class RunStore(Protocol):
    """Keeps runs; every method blocks, and conditions decide races."""

    def start(
        self,
        run: AgentRun,
        request: RunRequest,
        claim: IdempotencyClaim | None = None,
        *,
        seen: SessionLock = FREE,
        dead: Collection[str] = (),
        fingerprint: str | None = None,
    ) -> str:
        """
        Store a new run with its request and its place in its session, all or nothing.

        A RUNNING run takes the session's lock, if that still is as it was `seen`; a QUEUED one
        goes to the end of the session's queue, in any case. But a QUEUED background run takes the
        lock as a RUNNING one does where the lock, as `seen`, is free or has nobody but the `dead`.
        Calling it again with the same run is safe: it finds its own work, gives it the lease that
        it is called with, and succeeds.

        Args:
            run: The run, RUNNING or QUEUED, with the lease of its next executor, made
                for this call: the time before it counts for nothing.
            request: What was asked for.
            claim: Makes the start idempotent for 24 hours.
            seen: The lock as it was when all ahead of the run were found dead, or those in `dead`.
            dead: Who leaves the queue as a QUEUED run joins it; only then it has to be as `seen`.
                Of a background run the holder may be among them.
            fingerprint: By what `ConversationStore.runs_of_request` finds the run.

        Returns:
            The id of the run that is stored: `run`'s, or that of the first run with this claim,
            in which case nothing was written.

        Raises:
            SessionNotFoundError: The session belongs to another user or another agent.
            SessionBusyError: The lock is not as seen, its holder lives, or the queue is full; has
                it as it is. Nothing was written.
            ConflictError: Another run has this id, or the claim's key stands for another request.
            FencedError: An earlier call had stored the run, and it has been ended or deleted since;
                do not execute it, and do not retry.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def claimed(self, tenant: str, claim: IdempotencyClaim, *, at: datetime) -> str | None:
        """
        Return the id of the run that a claim stands for; None where it stands for none.

        Raises:
            ConflictError: The claim's key stands for another request.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def begin_queued(
        self, run: AgentRun, executor: str, *, seen: SessionLock, at: datetime
    ) -> AgentRun:
        """
        Move a QUEUED run to RUNNING and give it its session's lock, if that is as it was `seen`.

        The runs before it, which the caller has found dead, leave the queue; those behind one that
        has the lock already keep their places. Its own earlier success counts as success.

        Returns:
            The run as stored, without input and output; `started_at` is `at`.

        Raises:
            FencedError: The run is no longer queued by this executor; do not retry.
            SessionBusyError: The lock is not as seen, or its holder lives; has it as it is.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def release(self, run: AgentRun) -> str | None:
        """
        Let go of the run's session: of its lock, or of a place in its queue.

        A run that was stored RUNNING, or was continued, has the lock if this execution of it took
        it; one that was stored QUEUED may wait yet. Changes nothing otherwise.

        Args:
            run: The run as it was when this execution of it began, with its lease.

        Returns:
            The id of the run that is the next in the session's queue, if the lock was let go of.

        Raises:
            StoreUnavailableError: Retrying is safe, and not needed: the next run looks closer.
        """
        ...

    def get(self, key: RunKey) -> AgentRun:
        """
        Read one run whole, with all that was written before the call.

        Raises:
            RunNotFoundError: No run has this key.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def get_state(self, key: RunKey) -> AgentRun:
        """
        Read one run without input and output, with all that was written before the call.

        Raises:
            RunNotFoundError: No run has this key.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def get_many(
        self, keys: Sequence[RunKey], *, with_text: bool, consistent: bool = False
    ) -> dict[RunKey, AgentRun]:
        """
        Read up to 100 runs, `input` and `output` cut to 4096 bytes of UTF-8 or left out.

        The texts of a run are those of its state. Reads that are not `consistent` may lag behind
        writes by a moment.

        Returns:
            The runs that exist.

        Raises:
            StoreUnavailableError: Not all answers came in time; retrying is safe.
        """
        ...

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        """
        Renew the lease of a QUEUED or RUNNING run; a longer one stays as it is.

        Returns:
            The run as stored, without input and output; `cancel_requested` is what to look at.

        Raises:
            FencedError: Another executor owns the run or it has ended; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def keep_texts(
        self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime, progress: EndProgress
    ) -> None:
        """
        Store what of an outcome lies beside the run, ahead of `finish`, which stores the rest.

        It changes nothing that anybody can read. Arguments and errors are those of `finish`; never
        call both at once.
        """
        ...

    def finish(
        self,
        key: RunKey,
        executor: str,
        outcome: Outcome,
        *,
        at: datetime,
        progress: EndProgress | None = None,
    ) -> AgentRun:
        """
        Move a QUEUED or RUNNING run to PAUSED or to a terminal status, exactly once.

        Args:
            key: Tenant and run id.
            executor: Who holds the run's lease.
            outcome: Status with output (any size, UTF-8), and what belongs to the status.
            at: Aware UTC instant, stored in milliseconds.
            progress: Goes with each try of the same outcome, so that a try goes on where the one
                before it broke off; None begins from the first.

        Returns:
            The run as stored, without input and output; its own earlier write counts as success.

        Raises:
            FencedError: Another executor owns the run, it has ended, or it was deleted, in which
                case nothing of the outcome stays stored; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def checkpoint(self, key: RunKey) -> Checkpoint:
        """
        Read what is needed to continue a PAUSED run.

        Raises:
            RunNotFoundError: There is none.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def resume(self, paused: AgentRun, lease: Lease, *, seen: SessionLock, at: datetime) -> None:
        """
        Move a PAUSED run to RUNNING under a new lease and give it its session's lock.

        The pause that is resumed is exactly the one of `paused` (its `version`), and the lock is
        as it was `seen`. From now on the run's executions hold the slot that `paused` names. Its
        own earlier success counts as success. The continuation has not begun by that; see
        `begin_continuation`.

        Raises:
            ConflictError: The run is not paused so any more, or it is to be cancelled.
            SessionBusyError: The lock is not as seen, or its holder lives; has it as it is.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def begin_continuation(
        self,
        key: RunKey,
        executor: str,
        *,
        lease_until: datetime,
        start_id: int,
        step: Step | None = None,
    ) -> AgentRun:
        """
        Make START of a resumed run durable, and renew its lease: from here on it may act.

        A reader that finds the lease lapsed later knows by `last_event_id` that it has gone on. Its
        own earlier success counts as success.

        Args:
            key: Tenant and run id.
            executor: Who has resumed the run.
            lease_until: Until when the executor is to be believed alive.
            start_id: The id of START, the next one after the pause's event.
            step: The run's next step, a `Continued`, stored with it, all or nothing: by it another
                executor knows what was decided.

        Returns:
            The run as stored, without input and output; `cancel_requested` is what to look at.

        Raises:
            FencedError: Another executor owns the run or it is not RUNNING; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def restore_pause(self, key: RunKey, executor: str, *, at: datetime, paused_id: int) -> None:
        """
        Make a resumed run PAUSED again, as it was, where nothing of the continuation was said.

        Only the continuation's own executor knows that, so only it may; a request to cancel stays.

        Args:
            key: Tenant and run id.
            executor: Who has resumed the run and will not act.
            at: Aware UTC instant.
            paused_id: The id of the pause's event, the run's last one again.

        Raises:
            FencedError: The executor does not own the run any more.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        """
        End a QUEUED or PAUSED run as CANCELLED, or ask the executor of a RUNNING one to end it.

        A run that has ended stays as it is. One that was QUEUED leaves its session, if the store
        lets it.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def settle(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """
        Settle a run whose lease has lapsed, if all that decides on its end is as in `seen`.

        That is its status, its lease, its last event and whether it is to be cancelled. What
        becomes of it is `settled`'s to say, which leaves its texts as they are. One that was QUEUED
        leaves its session, if the store lets it.

        Returns:
            The run as stored by that, with the texts of `seen`.

        Raises:
            FencedError: Somebody else has changed it, so that it has to be read anew, its texts
                included; or it is gone.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """
        Settle a run, where that is still to be done; for those who need no texts of it.

        Returns:
            The run as stored afterwards, by any writer, without input and output.

        Raises:
            RunNotFoundError: The run is gone.
            StoreUnavailableError: Retrying is safe.
        """
        ...
