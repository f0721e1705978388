"""The ports: what the services need from outside, in the domain's own words."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from agentrun.domain.agents import Agent
from agentrun.domain.events import EngineEvent, RecordedEvent
from agentrun.domain.idempotency import IdempotencyClaim
from agentrun.domain.model import Model
from agentrun.domain.principal import Principal
from agentrun.domain.requests import Media, RunOptions, RunRequest
from agentrun.domain.runs import AgentRun, Outcome, RunKey


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Give the present instant, aware, in UTC."""
        ...


class TokenVerifier(Protocol):
    """Turns a bearer token into the caller that it vouches for."""

    def verify(self, token: str) -> "VerifiedToken":
        """
        Check signature, issuer, audience and times.

        Raises:
            UnauthenticatedError: The token does not verify; asking again with it is pointless.
        """
        ...


class VerifiedToken(Model):
    """A caller and the end of their token's life, in whole seconds since the Unix epoch."""

    principal: Principal
    expires_epoch_s: int


class AgentDirectory(Protocol):
    """Knows which agents there are."""

    def agents(self) -> Sequence[Agent]:
        """Give all agents, inactive ones too, ordered by id."""
        ...

    def agent(self, agent_id: str) -> Agent:
        """
        Give one agent, active or not.

        Raises:
            AgentNotFoundError: No agent has this id.
        """
        ...


class AgentTask(Model):
    """What an engine is to do: one turn of one agent."""

    run_id: str
    session_id: str
    tenant: str
    user_id: str
    agent: Agent
    message: str
    generate_followups: bool = False
    media: tuple[Media, ...] = ()
    options: RunOptions = RunOptions()


class AgentEngine(Protocol):
    """Runs agents."""

    def run(self, task: AgentTask) -> AsyncGenerator[EngineEvent, None]:
        """
        Run one turn, yielding what happens as it happens.

        `Metrics` is yielded exactly once, last, also when the run then fails and the figures are
        known. Closing the generator, or cancelling the task that reads it, ends the model call.

        Raises:
            EngineError: The agent failed; what was yielded before stands.
        """
        ...


class RunStore(Protocol):
    """Keeps runs; every method blocks, and conditions decide races."""

    def start(
        self, run: AgentRun, request: RunRequest, claim: IdempotencyClaim | None = None
    ) -> str:
        """
        Store a new RUNNING run with its request and its place in its session, all or nothing.

        Calling it again with the same run is safe: it finds its own work and succeeds.

        Args:
            run: The run, with the lease of whoever is about to execute it.
            request: What was asked for.
            claim: Makes the start idempotent for 24 hours.

        Returns:
            The id of the run that is stored: `run`'s, or that of the first run with this claim,
            in which case nothing was written.

        Raises:
            SessionNotFoundError: The session belongs to another user or another agent.
            ConflictError: Another run has this id, or the claim's key stands for another request.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
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

    def get_many(self, keys: Sequence[RunKey], *, with_text: bool) -> dict[RunKey, AgentRun]:
        """
        Read up to 100 runs, `input` and `output` cut to 4096 bytes of UTF-8 or left out.

        Returns:
            The runs that exist; reads may lag behind writes by a moment.

        Raises:
            StoreUnavailableError: Not all answers came in time; retrying is safe.
        """
        ...

    def heartbeat(self, key: RunKey, executor: str, *, lease_until: datetime) -> AgentRun:
        """
        Renew the lease of a RUNNING run.

        Returns:
            The run as stored, without input and output; `cancel_requested` is what to look at.

        Raises:
            FencedError: Another executor owns the run or it has ended; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def finish(self, key: RunKey, executor: str, outcome: Outcome, *, at: datetime) -> AgentRun:
        """
        Move a RUNNING run to a terminal status, exactly once.

        Args:
            key: Tenant and run id.
            executor: Whoever holds the run's lease.
            outcome: Terminal status with output (any size, UTF-8) or error.
            at: Aware UTC instant, stored in milliseconds.

        Returns:
            The run as stored, without input and output; its own earlier write counts as success.

        Raises:
            FencedError: Another executor owns the run or it has ended; do not retry.
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def request_cancel(self, key: RunKey, *, at: datetime) -> None:
        """
        Ask the executor of a RUNNING run to end it; a run in any other status stays as it is.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def expire(self, seen: AgentRun, *, at: datetime) -> AgentRun:
        """
        Fail a RUNNING run with `LEASE_EXPIRED` if its lease is still exactly the one in `seen`.

        Returns:
            The run as stored afterwards, whoever changed it, without input and output.

        Raises:
            RunNotFoundError: The run is gone.
            StoreUnavailableError: Retrying is safe.
        """
        ...


class EventLog(Protocol):
    """Keeps what happened during runs."""

    def append(self, key: RunKey, events: Sequence[RecordedEvent], *, at: datetime) -> None:
        """
        Store consecutive events as one segment; the same segment again changes nothing.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def read(self, key: RunKey, *, after: int) -> Sequence[RecordedEvent]:
        """
        Give the stored events with ids above `after`, in order, up to about 1 MB of them.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...
