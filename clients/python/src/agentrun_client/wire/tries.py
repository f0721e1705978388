"""Whether to send a request again, and when."""

from http import HTTPStatus

from agentrun_client.errors import (
    AgentrunError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    RunFailedError,
)
from agentrun_client.wire.backoff import Backoff
from agentrun_client.wire.call import Call

LONGEST_RETRY_AFTER_S = 60.0
"""A caller should know of a longer wait, rather than be kept waiting."""
_REFUSED_FOR_NOW = frozenset({429, 503})
_PERHAPS_DONE = frozenset({500, 502, 504})


class Tries:
    """
    Counts the tries of one request.

    Repeated are: connections that fail, 429 and 503, and of repeatable requests 500, 502 and 504.
    A 401 is repeated once, at once, if the client can get another token.
    """

    def __init__(self, limit: int, backoff: Backoff, *, can_renew_token: bool) -> None:
        """Allow `limit` repetitions."""
        self.limit = limit
        self.backoff = backoff
        self.count = 0
        self._can_renew_token = can_renew_token
        self._has_renewed = False

    @property
    def is_used_up(self) -> bool:
        """Whether there are no more."""
        return self.count >= self.limit

    def succeeded(self) -> None:
        """Begin to count anew."""
        self.count, self._has_renewed = 0, False

    def delay_after(self, error: AgentrunError, call: Call[object], *, was_sent: bool) -> float:
        """
        Return how long to wait before the next try, in seconds.

        Args:
            error: What became of the last try.
            call: What was tried.
            was_sent: Whether the server may have got it; False if no connection came about.

        Raises:
            AgentrunError: The error itself, if there is no next try.
        """
        if isinstance(error, AuthenticationError) and self._can_renew_token:
            if self._has_renewed:
                raise error
            self._has_renewed = True
            return 0.0
        limit = max(self.limit, call.patience) if _goes_on(error, was_sent=was_sent) else self.limit
        if not _is_worth_it(error, call, was_sent=was_sent) or self.count >= limit:
            raise error
        self.count += 1
        told = error.retry_after if isinstance(error, ApiError) else None
        if told is not None and told > LONGEST_RETRY_AFTER_S:
            raise error
        return self.backoff.delay_s(self.count) if told is None else told


def _is_worth_it(error: AgentrunError, call: Call[object], *, was_sent: bool) -> bool:
    match error:
        case RunFailedError():
            return False
        case ConnectionFailedError():
            return call.is_repeatable or not was_sent
        case ApiError(status=status) if status in _REFUSED_FOR_NOW:
            return True
        case ApiError(status=status):
            return call.is_repeatable and status in _PERHAPS_DONE
        case _:
            return False


def _goes_on(error: AgentrunError, *, was_sent: bool) -> bool:
    """Tell whether a run that was waited for may just take longer than an answer may."""
    if isinstance(error, ApiError):
        return error.run_id is not None or error.status == HTTPStatus.GATEWAY_TIMEOUT
    return was_sent
