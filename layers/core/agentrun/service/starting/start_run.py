"""Start a run: check what is asked for, then make it durable."""

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.errors import (
    FencedError,
    InvalidRequestError,
    PayloadTooLargeError,
    TooManyRunsError,
)
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import AgentTask
from agentrun.domain.principal import Principal
from agentrun.domain.quotas import Slot
from agentrun.domain.requests import IdempotencyClaim, RunRequest, idempotency_claim
from agentrun.domain.runs import LEASE_DURATION, AgentRun, Lease, RunKey, RunStatus
from agentrun.domain.value import Value
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.starting.launch_ports import LaunchPorts
from agentrun.service.starting.media import load_media
from agentrun.service.starting.session_queue import store_or_queue
from agentrun.service.starting.slots import slot_of_new


class Idempotency(Value):
    """A caller's Idempotency-Key, and the body that came with it as plain JSON."""

    key: str
    body: JsonValue

    def claim(self, user_id: str, agent_id: str) -> IdempotencyClaim:
        """Return what the key stands for."""
        return idempotency_claim(user_id, self.key, agent_id=agent_id, body=self.body)


class NewRun(Value):
    """
    A run that is to be executed by whoever has just made it durable, and what it came from.

    `slot` is what its execution holds.
    """

    run: AgentRun
    task: AgentTask
    request: RunRequest
    slot: Slot


class StartedRun(Value):
    """
    A run that has been durable; `new` is None where there is nothing to execute.

    That is where the same request had started it before, or where it has been ended, or deleted
    with its session, before this start had its answer.
    """

    key: RunKey
    new: NewRun | None = None


async def start_run(
    principal: Principal,
    agent_id: str,
    request: RunRequest,
    *,
    idempotency: Idempotency | None = None,
    policy: SessionPolicy = SessionPolicy.REJECT,
    fingerprint: str | None = None,
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
        fingerprint: By what the run is found if the request is sent again without a key.
        ports: Which agents there are, where the run is kept, and where media come from.

    Returns:
        The run's key; what to execute, unless somebody else has started or ended it.

    Raises:
        ForbiddenError: The token lacks the scope, or is for another tenant or user.
        AgentNotFoundError: There is no such active agent.
        BrokenAgentError: The agent's definition is broken.
        InvalidRequestError: The agent does not take these options or this media.
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
    run = _fresh_run(principal.tenant, user_id, agent, request, ports)
    claim = idempotency.claim(user_id, agent.id) if idempotency else None
    try:
        return await _start(run, agent, request, claim, policy, fingerprint, ports)
    except FencedError:
        return StartedRun(key=run.key)
    except (TooManyRunsError, InvalidRequestError, PayloadTooLargeError):
        # The same request again is answered with its run, also where a new one is refused by now.
        first_id = await _claimed(run, claim, ports.runs)
        if first_id is None:
            raise
        return StartedRun(key=RunKey(tenant=run.org_id, run_id=first_id))


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
    media = await load_media(agent, request, ports.media_loader)
    async with slot_of_new(run, ports.slots) as taken:
        stored_id, stored = await store_or_queue(
            run, request, claim, policy=policy, ports=ports.runs, fingerprint=fingerprint
        )
        taken.is_needed = stored_id == run.id
    if stored_id != run.id:
        return StartedRun(key=RunKey(tenant=run.org_id, run_id=stored_id))
    task = task_of(stored, agent, request, media)
    new = NewRun(run=stored, task=task, request=request, slot=taken.slot)
    return StartedRun(key=run.key, new=new)


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
    )


def check_taken_by(agent: Agent, request: RunRequest) -> None:
    """
    Refuse the options that an agent does not take.

    Raises:
        InvalidRequestError: A model off its allow-list, or a system prompt.
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
    run: AgentRun, agent: Agent, request: RunRequest, media: tuple[LoadedMedia, ...]
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
    )
