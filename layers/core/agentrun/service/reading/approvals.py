"""What waits for a human's decision, and what has become of it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import takewhile

from agentrun.domain.approvals import ApprovalAction, run_of_approval
from agentrun.domain.errors import (
    ApprovalNotFoundError,
    EngineError,
    RunNotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.events import (
    Cancelled,
    Error,
    Metrics,
    Paused,
    PauseType,
    RecordedEvent,
    RunEvent,
    Start,
    StepReset,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.lists.cursors import cursor_at, position_of
from agentrun.domain.lists.run_lists import Approval, ApprovalPage, ApprovalStatus, ListedPause
from agentrun.domain.ports import RunList
from agentrun.domain.principal import Principal
from agentrun.domain.runs import UNDER_WAY, AgentRun, RunStatus
from agentrun.domain.steps import Continued
from agentrun.domain.value import from_epoch_ms
from agentrun.service.ports import RunPorts
from agentrun.service.reading.replay import without_lost
from agentrun.service.reading.runs import MAX_BATCH, check_may_read, get_runs, visible_run

BUDGET_EXCEEDED = "BUDGET_EXCEEDED"


def pending_approvals(
    principal: Principal, *, size: int, cursor: str | None, runs: RunList, ports: RunPorts
) -> ApprovalPage:
    """
    Return a page of what waits for a decision, the oldest first: the caller's, an admin's tenant's.

    Args:
        principal: The verified caller.
        size: How many at most, 1 to 100.
        cursor: From an earlier page of the same list.
        runs: What finds them.
        ports: Where the runs are, and the time.

    Raises:
        ForbiddenError: The token lacks the scope.
        InvalidRequestError: The cursor is not one of this list.
        StoreUnavailableError: Retrying is safe.
    """
    check_may_read(principal)
    whose = None if principal.is_admin else principal.user_id
    key = f"approvals\0{principal.tenant}" + ("" if whose is None else f"\0{whose}")
    after = position_of(key, cursor, of="these approvals") if cursor else ""
    listed = runs.pauses(principal.tenant, user_id=whose)
    behind = [pause for pause in listed if pause.position > after]
    found: list[tuple[ListedPause, Approval]] = []
    for start in range(0, len(behind), MAX_BATCH):
        found += _pending(principal, behind[start : start + MAX_BATCH], ports)
        if len(found) > size:
            last = found[size - 1][0].position
            return ApprovalPage([one for _, one in found[:size]], cursor_at(key, last))
    return ApprovalPage([one for _, one in found])


def _pending(
    principal: Principal, pauses: Sequence[ListedPause], ports: RunPorts
) -> Iterator[tuple[ListedPause, Approval]]:
    ids = [pause.run_id for pause in pauses]
    read = get_runs(principal, None, ids, with_text=False, ports=ports)
    waiting = {run.id: run for run in read if run.status is RunStatus.PAUSED}
    for pause in pauses:
        run = waiting.get(pause.run_id)
        if run is not None and run.required_action is not None:
            yield (
                pause,
                _approval(run, run.required_action, pause.paused_at, ApprovalStatus.PENDING),
            )


def get_approval(principal: Principal, wanted: str, *, ports: RunPorts) -> Approval:
    """
    Return one approval, also one that has been decided, for as long as its run's events are kept.

    An approval that was given for some of its calls alone is APPROVED. One that nobody has decided,
    and nobody can any more, is EXPIRED, whether its time was up or its run was cancelled.

    Raises:
        ForbiddenError: The token lacks the scope.
        ApprovalNotFoundError: There is none, or the caller may not see it; both look the same.
        StoreUnavailableError: Retrying is safe.
    """
    check_may_read(principal)
    run_id, event_id = run_of_approval(wanted)
    try:
        run = visible_run(principal, run_id, ports)
    except RunNotFoundError:
        raise ApprovalNotFoundError(wanted) from None
    stored = ports.log.read(run.key, after=event_id - 1, at=ports.clock.now())
    said = without_lost(run, stored)
    paused, paused_at = _paused(run, wanted, said)
    behind = [recorded.event for recorded in said if recorded.id > event_id]
    status = _status(run, paused, behind, ports)
    if status is None:
        # What it has come to was only in events that have expired.
        raise ApprovalNotFoundError(wanted)
    return _approval(run, paused, paused_at, status)


def _paused(run: AgentRun, wanted: str, said: Sequence[RecordedEvent]) -> tuple[Paused, datetime]:
    """Find the pause in the log, or else, if it is the run's latest one, in its header."""
    if said and isinstance(said[0].event, Paused) and said[0].event.approval_id == wanted:
        return said[0].event, from_epoch_ms(said[0].timestamp_ms)
    if run.required_action is not None and run.required_action.approval_id == wanted:
        return run.required_action, run.updated_at
    raise ApprovalNotFoundError(wanted)


def _approval(
    run: AgentRun, paused: Paused, paused_at: datetime, status: ApprovalStatus
) -> Approval:
    return Approval(
        approval_id=paused.approval_id,
        run_id=run.id,
        agent_id=run.agent_id,
        session_id=run.session_id,
        type=paused.type,
        approvals=paused.approvals,
        created_at=paused_at,
        # Of an earlier pause of the run nobody knows it any more.
        expires_at=run.paused_until if _is_latest(run, paused) else None,
        status=status,
    )


def _is_latest(run: AgentRun, paused: Paused) -> bool:
    latest = run.required_action
    return latest is not None and latest.approval_id == paused.approval_id


def _status(
    run: AgentRun, paused: Paused, behind: Sequence[RunEvent], ports: RunPorts
) -> ApprovalStatus | None:
    """Return what has become of a pause; None if that cannot be known any more."""
    if _is_latest(run, paused):
        # A continuation that has not begun may yet leave the run PAUSED as it was.
        is_open = run.status in UNDER_WAY and not run.has_begun
        if run.status is RunStatus.PAUSED or is_open:
            return ApprovalStatus.PENDING
        if _ended_undecided(run):
            return ApprovalStatus.EXPIRED
        if paused.type is not PauseType.TOOL_APPROVAL and (step := _continued(run, ports)):
            return _decided_by(step)
    until_next = [*takewhile(lambda event: not isinstance(event, Paused), behind)]
    if paused.type is PauseType.BUDGET:
        return _budget_status(run, until_next, is_last=len(until_next) == len(behind))
    return _status_of_calls(paused, until_next)


def _continued(run: AgentRun, ports: RunPorts) -> Continued | None:
    """
    Return how a run's latest pause was decided, if that is known for certain.

    It is the first step of the continuation. Reading it is dear where many steps follow, and it may
    have expired, or lie with steps that cannot be read here; what the run said next mostly tells as
    well.
    """
    with suppress(StoreUnavailableError, EngineError):
        steps = ports.journal.steps(run.key)
        if steps and isinstance(steps[0].content, Continued):
            return steps[0].content
    return None


def _decided_by(step: Continued) -> ApprovalStatus:
    is_approved = any(one.action is ApprovalAction.APPROVE for one in step.decisions)
    if is_approved or step.budget is not None:
        return ApprovalStatus.APPROVED
    return ApprovalStatus.REJECTED


def _ended_undecided(run: AgentRun) -> bool:
    """Tell whether a run's pause was its end, in time or on request: that alone is one event."""
    is_next = run.last_event_id == (run.paused_event_id or 0) + 1
    return run.status is RunStatus.CANCELLED and is_next


def _status_of_calls(paused: Paused, behind: Sequence[RunEvent]) -> ApprovalStatus | None:
    """A call that is approved starts, or gives a result; one that is rejected only fails."""
    calls = {call.id for call in paused.approvals}
    about = [
        event
        for event in behind
        if isinstance(event, ToolStart | ToolEnd | ToolError) and event.id in calls
    ]
    if any(not isinstance(event, ToolError) for event in about):
        return ApprovalStatus.APPROVED
    return ApprovalStatus.REJECTED if about else None


def _budget_status(
    run: AgentRun, behind: Sequence[RunEvent], *, is_last: bool
) -> ApprovalStatus | None:
    """A run whose larger budget is rejected ends at once, for the reason that it was paused for."""
    frame = (Start, StepReset, Metrics, Error, Cancelled)
    if not is_last or any(not isinstance(event, frame) for event in behind):
        return ApprovalStatus.APPROVED
    if not behind:
        return None
    is_spent = run.error_type == BUDGET_EXCEEDED
    return ApprovalStatus.REJECTED if is_spent else ApprovalStatus.APPROVED
