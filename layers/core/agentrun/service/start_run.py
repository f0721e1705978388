"""Start a run: check what is asked for, then make it durable."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

from pydantic import JsonValue

from agentrun.domain.agents import Agent
from agentrun.domain.errors import (
    AgentNotFoundError,
    ForbiddenError,
    InvalidRequestError,
    StoreUnavailableError,
)
from agentrun.domain.idempotency import IdempotencyClaim, idempotency_claim
from agentrun.domain.model import Model
from agentrun.domain.ports import AgentDirectory, AgentTask
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunKey, RunStatus
from agentrun.service.blocking import in_thread
from agentrun.service.run_ports import RunPorts

LEASE_DURATION = timedelta(seconds=15)
WRITE_SCOPE = "runs:write"
RETRY_PAUSES_S = (0.05, 0.2)


class Idempotency(Model):
    """A caller's Idempotency-Key, and the body that came with it as plain JSON."""

    key: str
    body: JsonValue

    def claim(self, user_id: str, agent_id: str) -> IdempotencyClaim:
        """Give what the key stands for."""
        return idempotency_claim(user_id, self.key, agent_id=agent_id, body=self.body)


class StartedRun(Model):
    """A durable run; `run` and `task` are set only for the one who is to execute it."""

    key: RunKey
    run: AgentRun | None = None
    task: AgentTask | None = None


async def start_run(
    principal: Principal,
    agent_id: str,
    request: RunRequest,
    *,
    idempotency: Idempotency | None = None,
    agents: AgentDirectory,
    ports: RunPorts,
    new_id: Callable[[], str],
) -> StartedRun:
    """
    Make a new RUNNING run durable, or find the one that the same request has started before.

    Args:
        principal: The verified caller.
        agent_id: The agent that is to run.
        request: The validated body.
        idempotency: The caller's key, and the body as it came.
        agents: Which agents there are.
        ports: Where the run is kept.
        new_id: Gives a fresh id for the run, its executor and, where none was asked for, its
            session.

    Returns:
        The run's key; what to execute, unless somebody else has started it.

    Raises:
        ForbiddenError: The token lacks the scope, or is for another tenant or user.
        AgentNotFoundError: There is no such active agent.
        InvalidRequestError: The agent does not take these options or this media.
        ConflictError: The Idempotency-Key stands for another request.
        SessionNotFoundError: The session is somebody else's or another agent's.
        StoreUnavailableError: Nothing was started; retrying is safe.
    """
    user_id = _acting_user(principal, request)
    agent = agents.agent(agent_id)
    if not agent.active:
        raise AgentNotFoundError(agent_id)
    check_taken_by(agent, request)
    now = ports.clock.now()
    run = AgentRun(
        id=new_id(),
        agent_id=agent.id,
        session_id=str(request.session_id) if request.session_id else new_id(),
        user_id=user_id,
        org_id=principal.tenant,
        status=RunStatus.RUNNING,
        input=request.message,
        created_at=now,
        updated_at=now,
        started_at=now,
        model=request.options.model or agent.model,
        lease=Lease(executor=new_id(), until=now + LEASE_DURATION),
    )
    claim = idempotency.claim(user_id, agent.id) if idempotency else None
    stored_id = await _store(ports, run, request, claim)
    if stored_id != run.id:
        return StartedRun(key=RunKey(tenant=run.org_id, run_id=stored_id))
    return StartedRun(key=run.key, run=run, task=_task(run, agent, request))


async def _store(
    ports: RunPorts, run: AgentRun, request: RunRequest, claim: IdempotencyClaim | None
) -> str:
    """Store the run; one that collides with another write of the session or key goes again."""
    for pause_s in RETRY_PAUSES_S:
        try:
            return await in_thread(ports.threads, ports.store.start, run, request, claim)
        except StoreUnavailableError:
            await asyncio.sleep(random.uniform(0.5, 1) * pause_s)  # noqa: S311 - only spreads load
    return await in_thread(ports.threads, ports.store.start, run, request, claim)


def _acting_user(principal: Principal, request: RunRequest) -> str:
    if WRITE_SCOPE not in principal.scopes and not principal.is_admin:
        raise ForbiddenError(f"Starting a run needs the scope {WRITE_SCOPE}.")
    return principal.acting_for(request.org_id, request.user_id)


def check_taken_by(agent: Agent, request: RunRequest) -> None:
    """
    Refuse what an agent does not take.

    Raises:
        InvalidRequestError: A model off its allow-list, a system prompt, a type of media.
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
    for number, media in enumerate(request.media):
        if media.type not in agent.media:
            raise InvalidRequestError(
                f"The agent '{agent.id}' does not take media of type '{media.type}'.",
                params=[(f"media.{number}.type", f"must be one of {list(agent.media)}")],
            )


def _task(run: AgentRun, agent: Agent, request: RunRequest) -> AgentTask:
    return AgentTask(
        run_id=run.id,
        session_id=run.session_id,
        tenant=run.org_id,
        user_id=run.user_id,
        agent=agent,
        message=request.message,
        generate_followups=request.generate_followups,
        media=request.media,
        options=request.options,
    )
