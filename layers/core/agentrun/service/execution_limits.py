"""How large a run may grow, and what ends one that does not keep to it."""

from agentrun.domain.errors import EngineError
from agentrun.domain.turns import TurnPaused

MAX_OUTPUT_BYTES = 5 * 1024 * 1024
"""As plain text one status answer carries it: Lambda's 6 MB, less headers (http/answer_size.py)."""


class OutputTooLargeError(EngineError):
    """The answer has grown past what one status answer can carry."""

    def __init__(self) -> None:
        super().__init__(
            "The answer grew past 5 MiB; what it had so far is kept.",
            error_type="OUTPUT_TOO_LARGE",
        )


class UnrecordedError(EngineError):
    """The run has said more than can be held in memory while the store is away."""

    def __init__(self) -> None:
        super().__init__(
            "The run was stopped: what it said could not be stored for too long.",
            error_type="STORE_UNAVAILABLE",
        )


MAX_APPROVAL_BYTES = 200 * 1024
"""Of the pending calls in JSON: they stand in the run's header, an item of at most 400 KB."""


class ApprovalTooLargeError(EngineError):
    """The calls that wait for approval are too large to be shown and kept."""

    def __init__(self) -> None:
        super().__init__(
            "The tool calls that need an approval are too large.",
            error_type="APPROVAL_TOO_LARGE",
        )


def is_too_large_to_approve(paused: TurnPaused) -> bool:
    """Tell whether a pause cannot be stored."""
    size_bytes = sum(len(call.model_dump_json().encode()) for call in paused.pending)
    return size_bytes > MAX_APPROVAL_BYTES
