"""How large a run may grow, and what ends one that does not keep to it."""

from agentrun.domain.errors import EngineError

MAX_OUTPUT_BYTES = 5 * 1024 * 1024
"""What one status answer can carry: Lambda's 6 MB response limit, less JSON's escapes."""


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
