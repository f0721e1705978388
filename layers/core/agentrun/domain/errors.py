"""
Everything that can go wrong with a request or a run, as one tree.

    AgentrunError
    ├── InvalidRequestError            the request breaks a rule of the API
    ├── UnauthenticatedError           no bearer token, or one that does not verify
    ├── ForbiddenError                 a good token without the right
    ├── NotFoundError
    │   ├── AgentNotFoundError
    │   ├── RunNotFoundError
    │   ├── ApprovalNotFoundError
    │   └── SessionNotFoundError
    ├── ConflictError                  the request contradicts what is stored
    │   └── SessionBusyError           another run uses the session
    ├── PayloadTooLargeError
    ├── TooManyRunsError               a limit on runs or tokens is reached; retry later
    ├── RunFailedError                 the run that a caller waited for has failed
    ├── RunGoesOnError                 it has not ended by the time that one answer may take
    ├── StoreUnavailableError          the store throttled, failed or timed out; retrying is safe
    ├── IssuerUnavailableError         no token can be verified at the moment; retrying is safe
    ├── BrokenAgentError               the agent's definition is broken; retrying is pointless
    ├── FencedError                    another executor owns the run, or it has ended; never retry
    └── EngineError                    the agent failed; its message is safe to show
        ├── CannotResumeError          what was paused cannot go on; nothing has been done
        ├── HandedOverError            another executor goes on with the run
        ├── CancelRequestedError       somebody has asked for the run's end
        ├── BudgetExceededError        the run has spent what it may
        └── MayNotActError             the execution has to end: no tool may begin

Messages are sentences for the caller: no secrets, no prompts, no names of classes or tables.
"""

from collections.abc import Sequence

from agentrun.domain.conversations import SessionLock
from agentrun.domain.quotas import Slot


class AgentrunError(Exception):
    """Any fact of the tree above; `str()` of it is safe to show."""


class InvalidRequestError(AgentrunError):
    """The request breaks a rule of the API; `params` name each field at fault and why."""

    def __init__(self, message: str, *, params: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.params = tuple(params)


class UnauthenticatedError(AgentrunError):
    """There is no bearer token, or it does not verify; `reason` is for the log only."""

    def __init__(self, reason: str) -> None:
        # The gateway's own words, whatever is wrong, so that attackers learn nothing.
        super().__init__("A valid bearer token is required.")
        self.reason = reason


class ForbiddenError(AgentrunError):
    """The token is good, but it does not carry the right."""


class NotFoundError(AgentrunError):
    """Nothing that this caller may see is there."""


class AgentNotFoundError(NotFoundError):
    """No agent has this id."""

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"There is no agent '{_shown(agent_id)}'.")


class RunNotFoundError(NotFoundError):
    """The run is missing, or it is not the caller's; both look the same."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run '{_shown(run_id)}'.")


class SessionNotFoundError(NotFoundError):
    """The session belongs to another user or another agent of the tenant."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"There is no session '{_shown(session_id)}'.")


class ApprovalNotFoundError(NotFoundError):
    """The approval is missing, or it is not the caller's; both look the same."""

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"There is no approval '{_shown(approval_id)}'.")


class ConflictError(AgentrunError):
    """The request contradicts what is stored."""


class SessionBusyError(ConflictError):
    """Other runs use the session; `lock` tells which."""

    def __init__(self, lock: SessionLock) -> None:
        super().__init__("Another run of this session is under way.")
        self.lock = lock


class PayloadTooLargeError(AgentrunError):
    """The request is larger than its limit."""


class TooManyRunsError(AgentrunError):
    """A limit is reached; if it is one of runs under way, `holders` are the slots in the way."""

    def __init__(self, message: str, *, retry_after_s: int, holders: Sequence[Slot] = ()) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.holders = tuple(holders)


class RunFailedError(AgentrunError):
    """The run that the caller waited for has failed."""

    def __init__(self, run_id: str, message: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class RunGoesOnError(AgentrunError):
    """The run that the caller waited for has not ended yet; its status will tell."""

    def __init__(self, run_id: str) -> None:
        super().__init__("The run goes on. Ask for its status, or attach to its stream.")
        self.run_id = run_id


class StoreUnavailableError(AgentrunError):
    """The store throttled, failed or timed out; retrying is safe."""


class IssuerUnavailableError(AgentrunError):
    """The issuer's keys are not available, so that no token can be verified; retry."""

    def __init__(self) -> None:
        super().__init__("Tokens cannot be verified at the moment.")


class BrokenAgentError(AgentrunError):
    """The agent's definition is broken; retrying is pointless. `fault` is for the log only."""

    def __init__(self, agent_id: str, fault: str) -> None:
        super().__init__(f"The agent '{agent_id}' cannot be run: its definition is broken.")
        self.fault = fault


class FencedError(AgentrunError):
    """Another executor owns the run, or it has ended; do not retry."""


class EngineError(AgentrunError):
    """The agent failed; `error_type` classifies it in UPPER_SNAKE_CASE."""

    def __init__(self, message: str, *, error_type: str = "AGENT_ERROR") -> None:
        super().__init__(message)
        self.error_type = error_type


class CannotResumeError(EngineError):
    """The agent has changed since the pause; nothing has been done, and nothing is lost."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_type="CANNOT_RESUME")


class HandedOverError(EngineError):
    """The execution ends here, the run does not: another executor goes on from the last step."""

    def __init__(self) -> None:
        super().__init__("The run goes on elsewhere.", error_type="HANDED_OVER")


class CancelRequestedError(EngineError):
    """Somebody has asked for the run's end; what the executor has written last is durable."""

    def __init__(self) -> None:
        super().__init__("The run was cancelled on request.", error_type="CANCELLED")


class BudgetExceededError(EngineError):
    """The run has spent what it may, or its tenant has for today."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_type="BUDGET_EXCEEDED")


class MayNotActError(EngineError):
    """The execution has to end, or its lease may be over: no tool may begin."""

    def __init__(self) -> None:
        super().__init__(
            "The run was stopped: its lease could not be renewed in time.",
            error_type="STORE_UNAVAILABLE",
        )


def _shown(wanted: str) -> str:
    """Cut an id that a caller has made up, and that may be as long as a URL."""
    return wanted if len(wanted) <= 64 else f"{wanted[:64]}…"
