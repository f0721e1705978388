"""
The errors that this package raises, and how they are reported to Lambda.

LambdaAsgiError
├── InitError                 the handler cannot be loaded
├── LifespanStartupError      the app refused to start
├── PreludeTooLargeError      status and headers do not fit into the prelude
├── UnexpectedMessageError    the app broke the order of ASGI messages
├── ResponseMissingError      the app returned without a response
├── InvocationTimedOutError   the deadline passed while the app was running
└── RuntimeApiError           the Runtime API refused a call or broke off
"""

import base64
import json
import traceback
from dataclasses import dataclass

# The Runtime API is a Go server, and Go's net/http rejects trailers that do not fit its 4096 byte
# read buffer ("suspiciously long trailer"). Base64 of this much JSON fits, with both names.
_MAX_TRAILER_JSON_BYTES = 2600


class LambdaAsgiError(Exception):
    """Root of the tree."""


class InitError(LambdaAsgiError):
    """The handler cannot be loaded; `error_type` is the managed runtime's name for the reason."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class LifespanStartupError(LambdaAsgiError):
    """The app answered `lifespan.startup` with `lifespan.startup.failed`."""


class PreludeTooLargeError(LambdaAsgiError):
    """Status, headers and cookies exceed what API Gateway reads as prelude (16 KB)."""


class UnexpectedMessageError(LambdaAsgiError):
    """The app sent a message that the ASGI specification does not allow at this point."""


class ResponseMissingError(LambdaAsgiError):
    """The app returned without sending `http.response.start`."""


class InvocationTimedOutError(LambdaAsgiError):
    """The app was cancelled because the invocation's deadline had passed."""


class RuntimeApiError(LambdaAsgiError):
    """The Runtime API answered with an error status, or the connection broke."""


@dataclass(frozen=True)
class ErrorReport:
    """
    One error in the Runtime API's form: type, message and stack trace.

    `category` replaces the type in headers, where Lambda expects the phase that failed.
    """

    error_type: str
    message: str
    stack_trace: tuple[str, ...] = ()
    category: str = ""

    @classmethod
    def of(cls, error: BaseException, category: str = "") -> "ErrorReport":
        """Describe `error`; a chained cause stays in the log only."""
        if isinstance(error, InitError):
            return cls(error.error_type, str(error), (), category)
        frames = traceback.format_tb(error.__traceback__)
        return cls(type(error).__name__, str(error), tuple(frames), category)

    @property
    def header_type(self) -> str:
        """The error type in ASCII, as a header requires."""
        return (self.category or self.error_type).encode("ascii", "replace").decode()

    def to_json(self) -> bytes:
        """Return the body of `/invocation/{id}/error` and `/init/error`."""
        return json.dumps(
            {
                "errorMessage": self.message,
                "errorType": self.error_type,
                "stackTrace": self.stack_trace,
            }
        ).encode()

    def trailers(self) -> list[tuple[str, str]]:
        """
        Return the trailers that end a broken stream.

        If they are too long, outer stack frames are dropped first, then the message's end.
        """
        report = self
        while len(report.to_json()) > _MAX_TRAILER_JSON_BYTES and report.stack_trace:
            report = ErrorReport(report.error_type, report.message, report.stack_trace[1:])
        # JSON needs up to 12 bytes for a character, so this always fits.
        if len(report.to_json()) > _MAX_TRAILER_JSON_BYTES:
            report = ErrorReport(report.error_type[:64], report.message[:128])
        return [
            ("Lambda-Runtime-Function-Error-Type", report.header_type),
            ("Lambda-Runtime-Function-Error-Body", base64.b64encode(report.to_json()).decode()),
        ]
