"""Cancel a run: end one that waits, ask the executor of one that runs to end it."""

from agentrun.domain.principal import Principal
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_status import visible_state


def cancel_run(principal: Principal, agent_id: str, run_id: str, *, ports: RunPorts) -> None:
    """
    End a QUEUED or PAUSED run; ask for a RUNNING one's end, which its next heartbeat brings.

    Asking again, or for a run that has ended, changes nothing and is no error.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or it is not the caller's to see.
        StoreUnavailableError: Retrying is safe.
    """
    principal.check_may_write()
    run = visible_state(principal, agent_id, run_id, ports)
    if not run.status.is_terminal:
        ports.store.request_cancel(run.key, at=ports.clock.now())
