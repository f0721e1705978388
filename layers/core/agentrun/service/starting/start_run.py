"""Start a run: check what is asked for, load its media, make it durable."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.budgets import budget_of_run, check_budget
from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import (
    EngineError,
    FencedError,
    InvalidRequestError,
    PayloadTooLargeError,
    StoreUnavailableError,
    TooManyRunsError,
)
from agentrun.domain.events import Metrics, ResetReason
from agentrun.domain.media import LoadedMedia, MediaLoader
from agentrun.domain.ports import (
    AgentDirectory,
    AgentTask,
    ArgumentChecker,
    ConversationStore,
    LargeObjects,
    PriceList,
    WebhookGuard,
)
from agentrun.domain.principal import Principal
from agentrun.domain.quotas import Slot
from agentrun.domain.requests import (
    Budget,
    IdempotencyClaim,
    RunRequest,
    idempotency_claim,
    request_fingerprint,
)
from agentrun.domain.runs import LEASE_DURATION, AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.steps import Continued
from agentrun.domain.turns import Resumption
from agentrun.service.ports import RunPorts, in_thread, retried
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.media import keep_media, load_media
from agentrun.service.starting.session_queue import NewRun, store_or_queue
from agentrun.service.starting.slots import RunSlots, slot_of_new

APPROVAL_EXPIRY = timedelta(hours=24)
QUEUE_AGAIN_AFTER_S = (0.1, 0.5)


@dataclass(frozen=True)
class LaunchPorts:
    """
    Everything that is needed to start, continue and execute runs.

    `new_id` returns fresh ids for runs, sessions and executors; `approval_expiry` is how long a
    pause waits for its decision.
    """

    agents: AgentDirectory
    conversations: ConversationStore
    media_loader: MediaLoader
    runs: RunPorts
    slots: RunSlots
    readers: ReaderPlaces
    objects: LargeObjects
    arguments: ArgumentChecker
    prices: PriceList
    webhooks: WebhookGuard
    new_id: Callable[[], str]
    approval_expiry: timedelta = APPROVAL_EXPIRY


@dataclass(frozen=True)
class Idempotency:
    """A caller's Idempotency-Key, and the body that came with it as plain JSON."""

    key: str
    body: JsonValue

    def claim(self, user_id: str, agent_id: str) -> IdempotencyClaim:
        """Return what the key stands for."""
        return idempotency_claim(user_id, self.key, agent_id=agent_id, body=self.body)


@dataclass(frozen=True)
class Reader:
    """
    Who reads the stream of a request: the request's body, and the last id that was read.

    `cursor` is None in a request that is not sent again.
    """

    body: JsonValue
    cursor: int | None = None

    def fingerprint(self, agent_id: str) -> str:
        """Return what the request is found by if it is sent again without a key."""
        return request_fingerprint(agent_id, self.body)


@dataclass(frozen=True)
class Progress:
    """
    How far a run has come as an execution of it begins.

    The execution says START with the id `start_id`, and STEP_RESET after it where `reset` says why.
    `output` and `used` are the answer and the figures that stand, `stands_up_to` is the last event
    that does; of a new execution it is START. `steps` and `resets` count what there was of them.
    `budget` is what somebody has raised it to.
    """

    start_id: int = 1
    output: str = ""
    used: Metrics | None = None
    stands_up_to: int | None = None
    steps: int = 0
    resets: int = 0
    reset: ResetReason | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class PendingExecution:
    """
    A durable run that is to be executed by the process that has made it so.

    `slot` is what its execution holds and gives back in the end. `broken` is why it cannot be
    executed, so that all that is left is to end it. `begins_session` says that there is no
    conversation yet, which saves reading it.
    """

    run: AgentRun
    task: AgentTask
    request: RunRequest
    slot: Slot
    ports: LaunchPorts
    progress: Progress = Progress()
    continued: Continued | None = None
    broken: EngineError | None = None
    begins_session: bool = False

    @property
    def budget(self) -> Budget:
        """What the run may spend, all its executions together."""
        return self.progress.budget or budget_of_run(self.task.agent, self.request.options)

    @property
    def lease(self) -> Lease:
        """The lease under which the run was stored, or taken."""
        if self.run.lease is None:
            raise ValueError("an execution needs its run's lease")
        return self.run.lease


@dataclass(frozen=True)
class StartedRun:
    """
    A run that has been made durable; `pending` is None where there is nothing to execute.

    That is where the same request had started it before, or where it has been ended, or deleted
    with its session, before this start had its answer.
    """

    key: RunKey
    pending: PendingExecution | None = None


async def start_run(
    principal: Principal,
    agent_id: str,
    request: RunRequest,
    *,
    idempotency: Idempotency | None = None,
    policy: SessionPolicy = SessionPolicy.REJECT,
    fingerprint: str | None = None,
    is_background: bool = False,
    ports: LaunchPorts,
) -> StartedRun:
    """
    Make a new run durable, or find the one that the same request has started before.

    Args:
        principal: The verified caller.
        agent_id: The agent that is to run.
        request: The validated body.
        idempotency: The caller's key, and the body as it came.
        policy: What to do while another run uses the session; a run that waits is QUEUED.
        fingerprint: What the run is found by if the request is sent again without a key.
        is_background: Whether the run waits, QUEUED, for an executor that `enqueue` asks for.
        ports: Which agents there are, where the run is kept, and where media come from.

    Returns:
        The run's key, and what to execute unless somebody else has started or ended it.

    Raises:
        ForbiddenError: The token lacks the scope, or is for another tenant or user.
        AgentNotFoundError: There is no such active agent.
        BrokenAgentError: The agent's definition is broken.
        InvalidRequestError: The agent does not take these options or these media.
        PayloadTooLargeError: The media are over a limit.
        ConflictError: The Idempotency-Key stands for another request, or the session is busy.
        SessionNotFoundError: The session is somebody else's or another agent's.
        TooManyRunsError: The user or the tenant has as many runs as they may.
        StoreUnavailableError: Nothing was started; retrying is safe.
    """
    principal.check_may_write()
    user_id = principal.acting_for(request.org_id, request.user_id)
    agent = ports.agents.agent(agent_id)
    agent.check_can_run()
    principal.check_may_write(also=agent.required_scope)
    check_taken_by(agent, request)
    await _check_budget(agent, request, ports)
    run = _fresh_run(principal.tenant, user_id, agent, request, ports)
    if is_background:
        run = run.in_background()
    claim = idempotency.claim(user_id, agent.id) if idempotency else None
    try:
        return await _start(run, agent, request, claim, policy, fingerprint, ports)
    except FencedError:
        return StartedRun(key=run.key)
    except (TooManyRunsError, InvalidRequestError, PayloadTooLargeError):
        # A repeated request gets its run, even where a new one would be refused by now.
        first_id = await _claimed(run, claim, ports.runs)
        if first_id is None:
            raise
        return StartedRun(key=RunKey(tenant=run.org_id, run_id=first_id))


async def _check_budget(agent: Agent, request: RunRequest, ports: LaunchPorts) -> None:
    if budget_of_run(agent, request.options).max_cost_usd is not None:
        # The first look at the prices would hold up all other runs for a third of a second.
        await in_thread(ports.runs.threads, check_budget, agent, request.options, ports.prices)


async def _claimed(run: AgentRun, claim: IdempotencyClaim | None, ports: RunPorts) -> str | None:
    if claim is None:
        return None
    return await in_thread(ports.threads, ports.store.claimed, run.org_id, claim, at=run.created_at)


async def _start(
    run: AgentRun,
    agent: Agent,
    request: RunRequest,
    claim: IdempotencyClaim | None,
    policy: SessionPolicy,
    fingerprint: str | None,
    ports: LaunchPorts,
) -> StartedRun:
    if request.webhook is not None:
        await ports.webhooks.check(request.webhook.url)
    media = await load_media(agent, request, ports.media_loader)
    if media:
        await in_thread(ports.runs.threads, keep_media, run.key, media, ports.objects)
    run = run.holding(ports.runs.clock.now() + LEASE_DURATION, has_media=bool(media))
    new = NewRun(run, request, claim, fingerprint)
    first = new.first_try(ports.runs)
    async with slot_of_new(run, ports.slots, first.make) as taken:
        stored_id, stored = await store_or_queue(new, policy=policy, ports=ports.runs, first=first)
        taken.is_needed = stored_id == run.id
    if stored_id != run.id:
        return StartedRun(key=RunKey(tenant=run.org_id, run_id=stored_id))
    task = task_of(stored, agent, request, media)
    is_new = request.session_id is None
    pending = PendingExecution(stored, task, request, taken.slot, ports, begins_session=is_new)
    return StartedRun(key=run.key, pending=pending)


def _fresh_run(
    tenant: str,
    user_id: str,
    agent: Agent,
    request: RunRequest,
    ports: LaunchPorts,
) -> AgentRun:
    now, new_id = ports.runs.clock.now(), ports.new_id
    return AgentRun(
        id=new_id(),
        agent_id=agent.id,
        session_id=str(request.session_id) if request.session_id else new_id(),
        user_id=user_id,
        org_id=tenant,
        status=RunStatus.RUNNING,
        input=request.message,
        created_at=now,
        updated_at=now,
        started_at=now,
        model=request.options.model or agent.model,
        lease=Lease(executor=new_id(), until=now + LEASE_DURATION),
        # START, said as soon as the run is stored.
        last_event_id=1,
        max_attempts=agent.max_attempts,
        webhook=request.webhook,
    )


def check_taken_by(agent: Agent, request: RunRequest) -> None:
    """
    Refuse options that the agent does not take.

    Raises:
        InvalidRequestError: A model that is not on its list, or a system prompt.
    """
    options = request.options
    if options.model is not None and options.model not in agent.models:
        raise InvalidRequestError(
            f"The agent '{agent.id}' may not use the model '{options.model}'.",
            params=[("options.model", f"must be one of {', '.join(agent.models)}")],
        )
    if options.system_prompt is not None and not agent.custom_system_prompt:
        raise InvalidRequestError(
            f"The agent '{agent.id}' takes no system prompt.",
            params=[("options.systemPrompt", "is not allowed by the agent")],
        )


def task_of(
    run: AgentRun,
    agent: Agent,
    request: RunRequest,
    media: tuple[LoadedMedia, ...],
    resumption: Resumption | None = None,
) -> AgentTask:
    """Return what an engine is to do for a run; the conversation's history is still to be read."""
    return AgentTask(
        run_id=run.id,
        session_id=run.session_id,
        tenant=run.org_id,
        user_id=run.user_id,
        agent=agent,
        message=request.message,
        generate_followups=request.generate_followups,
        media=media,
        options=request.options,
        resumption=resumption,
    )


async def enqueue(pending: PendingExecution, ports: LaunchPorts, *, has_key: bool) -> None:
    """
    Ask for an executor for a run that was stored to be executed in the background.

    Raises:
        StoreUnavailableError: Nobody was asked, as far as is known. Retrying the start is safe: if
            the request `has_key`, it finds the run and calls `enqueue_again`; otherwise the run is
            cancelled, if that can be written.
    """
    runs, key = ports.runs, pending.run.key
    try:
        await _ask_worker(key, runs)
    except StoreUnavailableError:
        if has_key:
            raise
        with suppress(StoreUnavailableError):
            cancel = partial(runs.store.request_cancel, key, at=runs.clock.now())
            await in_thread(runs.threads, cancel)
        await ports.slots.give_back(pending.slot, tokens=0)
        raise


async def enqueue_again(key: RunKey, ports: RunPorts) -> None:
    """
    Ask again for an executor for a run that still waits for one, as its start may have failed to.

    Raises:
        RunNotFoundError: The run is gone.
        StoreUnavailableError: Nobody was asked, as far as is known; retrying is safe.
    """
    run = await in_thread(ports.threads, ports.store.get_state, key)
    if run.status is RunStatus.QUEUED and run.is_handed_over:
        await _ask_worker(key, ports)


async def _ask_worker(key: RunKey, ports: RunPorts) -> None:
    await retried(lambda: in_thread(ports.threads, ports.queue.send, key), QUEUE_AGAIN_AFTER_S)
