"""Start a run: check what is asked for, then make it durable."""

from collections.abc import Callable
from datetime import timedelta

from agentrun.domain.agents import Agent
from agentrun.domain.errors import AgentNotFoundError, ForbiddenError, InvalidRequestError
from agentrun.domain.ports import AgentDirectory, AgentTask
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, Lease, RunStatus
from agentrun.service.blocking import in_thread
from agentrun.service.run_ports import RunPorts

LEASE_DURATION = timedelta(seconds=15)
WRITE_SCOPE = "runs:write"


async def start_run(
    principal: Principal,
    agent_id: str,
    request: RunRequest,
    *,
    agents: AgentDirectory,
    ports: RunPorts,
    new_id: Callable[[], str],
) -> tuple[AgentRun, AgentTask]:
    """
    Make a new RUNNING run durable.

    Args:
        principal: The verified caller.
        agent_id: The agent that is to run.
        request: The validated body.
        agents: Which agents there are.
        ports: Where the run is kept.
        new_id: Gives a fresh id for the run, its executor and, where none was asked for, its
            session.

    Returns:
        The run as stored, and what its engine is to do.

    Raises:
        ForbiddenError: The token lacks the scope, or is for another tenant or user.
        AgentNotFoundError: There is no such active agent.
        InvalidRequestError: The agent does not take these options or this media.
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
    await in_thread(ports.threads, ports.store.start, run, request)
    return run, _task(run, agent, request)


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
