"""
What can go wrong, as one tree.

    AgentrunError
    ├── ApiError                     the API refused the request, or answered what nobody can read
    │   ├── InvalidRequestError      400
    │   ├── AuthenticationError      401
    │   ├── PermissionDeniedError    403
    │   ├── NotFoundError            404
    │   ├── ConflictError            409
    │   ├── PayloadTooLargeError     413
    │   ├── UnsupportedMediaTypeError 415
    │   ├── TooManyRunsError         429
    │   ├── InternalServerError      500, and other errors of the server
    │   └── UnavailableError         502, 503, 504
    ├── ConnectionFailedError        no answer came
    ├── StreamLostError              a stream broke off too often without a new event
    ├── WaitTimeoutError             runs have not ended in time
    ├── RunFailedError               the run is FAILED
    ├── RunCancelledError            the run is CANCELLED
    └── RunPausedError               the run is PAUSED, and waits for a decision

No error's text, attributes or cause contain the token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentrun_client.models.actions import RequiredAction
from agentrun_client.models.runs import Run


class AgentrunError(Exception):
    """The root of the tree: catch it to catch them all."""


@dataclass(frozen=True, slots=True)
class InvalidParam:
    """A field of a request that the API refused, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What an answer says of an error (RFC 9457), or what can be said of an answer that is no problem.

    Attributes:
        status: The HTTP status.
        type: `urn:problem-type:` and a name; `about:blank` where the answer names none.
        title: The kind of problem, the same each time.
        detail: What is wrong this time, for people.
        invalid_params: The fields at fault, if any are.
        retry_after: Seconds to wait before another try, if the answer says so.
        run_id: The run that has failed, or that goes on without this request.
    """

    status: int
    type: str
    title: str
    detail: str
    invalid_params: tuple[InvalidParam, ...] = ()
    retry_after: float | None = None
    run_id: str | None = None


class ApiError(AgentrunError):
    """The API has refused a request; decide by the class, `status` or `type`."""

    def __init__(self, problem: Problem) -> None:
        """Take what the answer says."""
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def type(self) -> str:
        """`urn:problem-type:` and a name, or `about:blank`."""
        return self.problem.type

    @property
    def title(self) -> str:
        """The kind of problem."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What is wrong this time, for people."""
        return self.problem.detail

    @property
    def invalid_params(self) -> tuple[InvalidParam, ...]:
        """The fields at fault, if any are."""
        return self.problem.invalid_params

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before another try, if the answer says so."""
        return self.problem.retry_after

    @property
    def run_id(self) -> str | None:
        """The run that the answer names, if it names one."""
        return self.problem.run_id


class InvalidRequestError(ApiError):
    """400: a rule of the API is broken; `invalid_params` may say which fields are at fault."""


class AuthenticationError(ApiError):
    """401: there is no token, or it does not verify."""


class PermissionDeniedError(ApiError):
    """403: the token lacks a scope, or is for another organisation or user."""


class NotFoundError(ApiError):
    """404: it does not exist, or the caller may not see it."""


class ConflictError(ApiError):
    """409: the key belongs to another request, the session is busy, or the run is not paused."""


class PayloadTooLargeError(ApiError):
    """413: the body or the media are over their limits."""


class UnsupportedMediaTypeError(ApiError):
    """415: a body whose content type is not JSON."""


class TooManyRunsError(ApiError):
    """429: a limit is reached; `retry_after` says when to try again."""


class InternalServerError(ApiError):
    """500: a defect of the deployment."""


class UnavailableError(ApiError):
    """503, or a gateway's 502 or 504: no answer now; `run_id` may name a run that goes on."""


class ConnectionFailedError(AgentrunError):
    """No answer came: the host is not reachable, or the connection broke."""


class StreamLostError(AgentrunError):
    """A stream broke off too often without a new event; the run itself may go on."""

    def __init__(self, run_id: str | None, last_event_id: int, attempts: int) -> None:
        """Take what is needed to attach again later."""
        super().__init__(
            f"The stream of run {run_id or '(not known)'} broke off {attempts} times without a new "
            f"event after {last_event_id}; attach to the run again to read on."
        )
        self.run_id = run_id
        self.last_event_id = last_event_id


class WaitTimeoutError(AgentrunError, TimeoutError):
    """Not all runs have ended in time; `runs` holds them as they were last seen."""

    def __init__(self, runs: Mapping[str, Run], pending: tuple[str, ...]) -> None:
        """Take the runs by their ids, and the ids of those that have not ended."""
        super().__init__(f"{len(pending)} of the runs have not ended in time: {', '.join(pending)}")
        self.runs = runs
        self.pending = pending


class RunFailedError(AgentrunError):
    """The run is FAILED; `message` says why and is safe to show."""

    def __init__(self, run_id: str | None, message: str) -> None:
        """Take the run and why it has failed."""
        super().__init__(f"Run {run_id} has failed: {message}")
        self.run_id = run_id
        self.message = message


class RunCancelledError(AgentrunError):
    """The run is CANCELLED; `reason` says why."""

    def __init__(self, run_id: str | None, reason: str) -> None:
        """Take the run and why it was cancelled."""
        super().__init__(f"Run {run_id} was cancelled: {reason}")
        self.run_id = run_id
        self.reason = reason


class RunPausedError(AgentrunError):
    """The run is PAUSED; `required_action` says what it waits for."""

    def __init__(self, run_id: str | None, required_action: RequiredAction) -> None:
        """Take the run and what it waits for."""
        super().__init__(f"Run {run_id} is paused: it waits for {required_action.type}")
        self.run_id = run_id
        self.required_action = required_action
