"""Continue a paused run: take the decisions, then take the run."""

from collections.abc import Sequence

from agentrun.domain.agents import Agent, Replay
from agentrun.domain.approvals import ApprovalAction, ContinueRequest, Decision, run_of_approval
from agentrun.domain.budgets import budget_of_run, check_no_budget, raised_budget, spent
from agentrun.domain.errors import (
    ApprovalNotFoundError,
    BudgetExceededError,
    ConflictError,
    EngineError,
    InvalidRequestError,
    RunNotFoundError,
    SessionBusyError,
    StoreUnavailableError,
)
from agentrun.domain.events import Paused, PauseType, PendingApproval
from agentrun.domain.ports import ArgumentChecker
from agentrun.domain.principal import Principal
from agentrun.domain.runs import LEASE_DURATION, AgentRun, Lease, RunStatus
from agentrun.domain.steps import Continued
from agentrun.domain.turns import Checkpoint, Resumption
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.runs import visible_run, visible_state
from agentrun.service.starting.media import load_kept
from agentrun.service.starting.session_queue import MAX_TAKEOVERS, live_runs
from agentrun.service.starting.slots import slot_of_new
from agentrun.service.starting.start_run import LaunchPorts, PendingExecution, Progress, task_of

_BUDGET_REFUSED = "The run may not spend any more."


async def continue_run(
    principal: Principal, paused: AgentRun, request: ContinueRequest, *, ports: LaunchPorts
) -> PendingExecution:
    """
    Take a paused run, with its calls decided; from here on this process has to execute it.

    Everything is checked and read before the run is taken.

    Args:
        principal: The verified caller.
        paused: The run as `paused_run` returned it.
        request: The validated body.
        ports: Which agents there are, and where runs and conversations are kept.

    Raises:
        ForbiddenError: The token lacks the scope that the agent asks for.
        InvalidRequestError: The decisions are not one for each pending call, changed arguments do
            not fit the tool, or the budget is none that lets the run go on.
        AgentNotFoundError: The agent is gone.
        BrokenAgentError: The agent's definition is broken by now.
        ConflictError: The run is not paused any more or to be cancelled, or its session is busy.
        TooManyRunsError: The user or the tenant has as many runs as they may.
        StoreUnavailableError: The outcome is unknown. Retrying is safe: the pause is either still
            there or taken, which is a conflict.
    """
    agent = ports.agents.agent(paused.agent_id)
    agent.check_not_broken()
    principal.check_may_write(also=agent.required_scope)
    action = paused.required_action
    if paused.status is not RunStatus.PAUSED or action is None:
        raise ConflictError(f"The run '{paused.id}' is {paused.status}, not PAUSED.")
    threads = ports.runs.threads
    checkpoint = await in_thread(threads, _checkpoint_of, paused, ports.runs)
    # All that may go wrong comes first: once the run is taken, this process has to execute it.
    continued, broken = _decided(agent, action, request, checkpoint, ports.arguments)
    media = checkpoint.media or await in_thread(threads, load_kept, paused, ports.objects)
    resumption = Resumption(state=checkpoint.state, decisions=continued.decisions)
    held = paused.holding(ports.runs.clock.now() + LEASE_DURATION)
    async with slot_of_new(held, ports.slots) as taken:
        resumed = await _take(held, ports)
        taken.is_needed = True
    return PendingExecution(
        run=resumed,
        task=task_of(paused, agent, checkpoint.request, media, resumption),
        request=checkpoint.request,
        slot=taken.slot,
        ports=ports,
        progress=_progress(paused, checkpoint, continued),
        continued=continued,
        broken=broken,
    )


def _progress(paused: AgentRun, checkpoint: Checkpoint, continued: Continued) -> Progress:
    return Progress(
        start_id=paused.last_event_id + 1,
        output=checkpoint.output,
        used=checkpoint.metrics,
        steps=checkpoint.steps,
        resets=checkpoint.resets,
        budget=continued.budget,
    )


def _decided(
    agent: Agent,
    action: Paused,
    request: ContinueRequest,
    checkpoint: Checkpoint,
    checker: ArgumentChecker,
) -> tuple[Continued, EngineError | None]:
    """Return what is decided, and why the run is only to be ended, if it is."""
    if action.type is PauseType.BUDGET:
        allowed = checkpoint.budget or budget_of_run(agent, checkpoint.request.options)
        budget = raised_budget(request, allowed, checkpoint.metrics)
        refused = spent(allowed, checkpoint.metrics) or _BUDGET_REFUSED
        return Continued(budget=budget), None if budget else BudgetExceededError(refused)
    check_no_budget(request)
    decisions = request.decide(action.approvals)
    _check_decisions(agent.id, action, decisions, checker)
    calls = acting(agent, action.approvals, decisions)
    return Continued(decisions=decisions, budget=checkpoint.budget, acting=calls), None


def acting(
    agent: Agent, pending: Sequence[PendingApproval], decisions: Sequence[Decision]
) -> tuple[str, ...]:
    """Return the ids of the decided calls that run at once and whose effect must not come twice."""
    never = {tool.name for tool in agent.tools if tool.replay is Replay.NEVER}
    return tuple(
        call.id
        for call, decision in zip(pending, decisions, strict=True)
        if decision.action is ApprovalAction.APPROVE
        and not decision.has_result
        and call.tool in never
    )


def _check_decisions(
    agent_id: str, action: Paused, decisions: Sequence[Decision], checker: ArgumentChecker
) -> None:
    """Refuse results of calls that have not run, and arguments that do not fit."""
    if action.type is not PauseType.TOOL_IN_DOUBT and any(
        decision.has_result for decision in decisions
    ):
        reason = "is only for a tool that may have run"
        raise InvalidRequestError(f"A result {reason}.", params=[("decisions", reason)])
    faults = [
        (f"decisions.{number}.arguments.{name}", reason)
        for number, (call, decision) in enumerate(zip(action.approvals, decisions, strict=True))
        if decision.arguments is not None
        for name, reason in checker.argument_faults(agent_id, call.tool, decision.arguments)
    ]
    if faults:
        message = "; ".join(f"{name}: {reason}" for name, reason in faults)
        raise InvalidRequestError(message, params=faults)


def _checkpoint_of(paused: AgentRun, ports: RunPorts) -> Checkpoint:
    """Read what a pause has left; if it is another pause's by now, `resume` refuses it."""
    try:
        return ports.store.checkpoint(paused.key)
    except RunNotFoundError:
        # The pause may be over, and the run not gone.
        if ports.store.get_state(paused.key).version == paused.version:
            raise
        raise ConflictError(f"The run '{paused.id}' is not paused any more.") from None


async def _take(paused: AgentRun, ports: LaunchPorts) -> AgentRun:
    """Move the run to RUNNING and take its session, unless a live run uses that."""
    runs, executor = ports.runs, ports.new_id()
    session = (paused.org_id, paused.session_id)
    seen = await in_thread(runs.threads, ports.conversations.lock, *session)
    for _ in range(MAX_TAKEOVERS):
        if ahead := await live_runs(paused.org_id, seen.before(paused.id), runs):
            raise ConflictError(
                f"The session '{paused.session_id}' is busy with the run '{ahead[0].id}'."
            )
        now = runs.clock.now()
        lease = Lease(executor=executor, until=now + LEASE_DURATION)
        try:
            await in_thread(runs.threads, runs.store.resume, paused, lease, seen=seen, at=now)
        except SessionBusyError as busy:
            seen = busy.lock
        else:
            return paused.resumed(lease, at=now)
    raise StoreUnavailableError("The session changes hands too often at the moment.")


async def paused_run(principal: Principal, agent_id: str, run_id: str, ports: RunPorts) -> AgentRun:
    """
    Find a run that is to be continued, whatever its status.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or the caller may not see it.
        StoreUnavailableError: Retrying is safe.
    """
    principal.check_may_write()
    return await in_thread(ports.threads, visible_state, principal, agent_id, run_id, ports)


async def run_to_approve(principal: Principal, wanted: str, ports: RunPorts) -> AgentRun:
    """
    Find the paused run that an approval is for.

    Raises:
        ForbiddenError: The token lacks the scope.
        ApprovalNotFoundError: There is none, or the caller may not see it.
        ConflictError: It has been resolved, or the run has ended.
        StoreUnavailableError: Retrying is safe.
    """
    principal.check_may_write()
    run_id, _ = run_of_approval(wanted)
    try:
        run = await in_thread(ports.threads, visible_run, principal, run_id, ports)
    except RunNotFoundError:
        raise ApprovalNotFoundError(wanted) from None
    if run.required_action is None:
        raise ApprovalNotFoundError(wanted)
    is_open = run.status is RunStatus.PAUSED and run.required_action.approval_id == wanted
    if not is_open:
        raise ConflictError(f"The approval '{wanted}' has been resolved.")
    return run
