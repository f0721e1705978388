"""
Errors of the client commands; each has its exit status.

    CommandError
    ├── UsageError
    ├── RefusedError
    └── NotReachableError
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the exit statuses of the client commands say; docs/command-line.md has the table."""

    DONE = 0
    FAILED = 1
    """The run failed, or the command could not do all that it was asked."""
    USAGE = 2
    PAUSED = 3
    """The run waits for a decision, and there is nobody to ask."""
    CANCELLED = 4
    REFUSED = 5
    NOT_REACHABLE = 6
    INTERRUPTED = 130
    """128 + SIGINT, as shells say."""


class CommandError(Exception):
    """The command cannot go on; the message is shown as one line."""

    exit_status = ExitStatus.FAILED


class UsageError(CommandError):
    """Options, a profile or an input do not fit together."""

    exit_status = ExitStatus.USAGE


class RefusedError(CommandError):
    """The API refused a request, or the issuer a token for it."""

    exit_status = ExitStatus.REFUSED


class NotReachableError(CommandError):
    """No connection, or none that lasted."""

    exit_status = ExitStatus.NOT_REACHABLE
