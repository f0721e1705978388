"""Cancel a run: end one that waits, ask the executor of one that runs to end it."""

from agentrun.domain.errors import ForbiddenError
from agentrun.domain.principal import Principal
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_status import visible_state
from agentrun.service.start_run import WRITE_SCOPE


def cancel_run(principal: Principal, agent_id: str, run_id: str, *, ports: RunPorts) -> None:
    """
    End a QUEUED or PAUSED run; ask for a RUNNING one's end, which its next heartbeat brings.

    Asking again, or for a run that has ended, changes nothing and is no error.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or it is not the caller's to see.
        StoreUnavailableError: Retrying is safe.
    """
    if WRITE_SCOPE not in principal.scopes and not principal.is_admin:
        raise ForbiddenError(f"Cancelling a run needs the scope {WRITE_SCOPE}.")
    run = visible_state(principal, agent_id, run_id, ports)
    if not run.status.is_terminal:
        ports.store.request_cancel(run.key, at=ports.clock.now())
