"""
Everything that can go wrong with a request or a run, as one tree.

    AgentrunError
    ├── InvalidRequestError            the request breaks a rule of the API
    ├── UnauthenticatedError           no bearer token, or one that does not verify
    ├── ForbiddenError                 a good token without the right
    ├── NotFoundError
    │   ├── AgentNotFoundError
    │   ├── RunNotFoundError
    │   └── SessionNotFoundError
    ├── ConflictError                  the request contradicts what is stored
    ├── PayloadTooLargeError
    ├── RunFailedError                 the run that a caller waited for has failed
    ├── StoreUnavailableError          the store throttled, failed or timed out; retrying is safe
    ├── FencedError                    another executor owns the run, or it has ended; never retry
    └── EngineError                    the agent failed; its message is safe to show

Messages are sentences for the caller: no secrets, no prompts, no names of classes or tables.
"""

from collections.abc import Sequence


class AgentrunError(Exception):
    """Any fact of the tree above; `str()` of it is safe to show."""


class InvalidRequestError(AgentrunError):
    """The request breaks a rule of the API; `params` name each field at fault and why."""

    def __init__(self, message: str, *, params: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.params = tuple(params)


class UnauthenticatedError(AgentrunError):
    """There is no bearer token, or it does not verify."""


class ForbiddenError(AgentrunError):
    """The token is good, but it does not carry the right."""


class NotFoundError(AgentrunError):
    """Nothing that this caller may see is there."""


class AgentNotFoundError(NotFoundError):
    """No agent has this id."""

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"There is no agent '{agent_id}'.")


class RunNotFoundError(NotFoundError):
    """The run is missing, or it is not the caller's; both look the same."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run '{run_id}'.")


class SessionNotFoundError(NotFoundError):
    """The session belongs to another user or another agent of the tenant."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"There is no session '{session_id}'.")


class ConflictError(AgentrunError):
    """The request contradicts what is stored."""


class PayloadTooLargeError(AgentrunError):
    """The request is larger than its limit."""


class RunFailedError(AgentrunError):
    """The run that the caller waited for has failed."""

    def __init__(self, run_id: str, message: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class StoreUnavailableError(AgentrunError):
    """The store throttled, failed or timed out; retrying is safe."""


class FencedError(AgentrunError):
    """Another executor owns the run, or it has ended; do not retry."""


class EngineError(AgentrunError):
    """The agent failed; `error_type` classifies it in UPPER_SNAKE_CASE."""

    def __init__(self, message: str, *, error_type: str = "AGENT_ERROR") -> None:
        super().__init__(message)
        self.error_type = error_type
