"""Tokens that are made when they are asked for, and when they expire."""

import base64
import binascii
import json
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agentrun_cli.errors import CommandError, UsageError

LEEWAY_S = 60
"""A token that expires within this time is not sent any more."""
COMMAND_TIMEOUT_S = 60
Clock = Callable[[], float]


class TokenSource(Protocol):
    """Tokens for one deployment."""

    @property
    def remedy(self) -> str:
        """What to do if the deployment refuses every token; whole sentences."""
        ...

    def __call__(self) -> str:
        """Return a token; called for every request."""
        ...


@dataclass(frozen=True)
class FixedToken:
    """The token of an option or a variable, whose name is `origin`."""

    token: str = field(repr=False)
    origin: str

    @property
    def remedy(self) -> str:
        """Where the token comes from."""
        return f"Is the token of {self.origin} for this deployment, and still good?"

    def __call__(self) -> str:
        """Return the token."""
        return self.token.strip()


@dataclass(frozen=True)
class LocalToken:
    """Signs tokens for the local stack of a template: for its developer, as an admin."""

    template: Path

    @property
    def remedy(self) -> str:
        """Which stack the tokens are for."""
        return f"The token is for the local stack of {self.template}; --template names another one."

    def __call__(self) -> str:
        """Sign a token."""
        # Imported here: cryptography takes a moment, which only the local stack has to wait.
        from agentrun_local.machine.identity import Caller, DevIdentity  # noqa: PLC0415

        folder = self.template.resolve().parent / ".agentrun"
        return DevIdentity(folder).token(Caller(roles=["admin"]))


class CommandToken:
    """
    Runs a command that prints a token, and again once that has expired or is refused.

    The command gets no shell: `~`, `$NAME` and `|` mean nothing in it. What it says on standard
    error is passed on.
    """

    def __init__(self, command: str, *, clock: Clock = time.time) -> None:
        self._command = command
        self._clock = clock
        self._token = ""
        self._expires_at = 0.0

    @property
    def remedy(self) -> str:
        """What the command has to print."""
        return "Does the profile's token_command print a token for this deployment?"

    def refused(self, token: str) -> None:
        """Take note that a token was refused; the command runs again."""
        if token == self._token:
            self._token = ""

    def __call__(self) -> str:
        """
        Return a token.

        Raises:
            UsageError: The command's quotes do not match, or there is no such program.
            CommandError: The command fails, prints nothing, or takes longer than 60 s.
        """
        if not self._token or self._clock() >= self._expires_at - LEEWAY_S:
            self._token = self._run()
            expires_at = expiry_of(self._token)
            # What does not say when it expires is asked for again at every request.
            self._expires_at = 0.0 if expires_at is None else expires_at
        return self._token

    def _run(self) -> str:
        try:
            words = shlex.split(self._command)
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except (ValueError, OSError, IndexError) as error:
            raise UsageError(f"token_command cannot be run: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"token_command took over {COMMAND_TIMEOUT_S} s") from error
        token = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode != 0:
            raise CommandError(f"token_command ended with exit status {done.returncode}")
        if not token or not token.isascii() or len(token.split()) != 1:
            raise CommandError("token_command has to print a token and nothing else")
        return token


def expiry_of(token: str) -> float | None:
    """Return `exp` of a JWT, unverified, in epoch seconds; None if the token does not say."""
    return _instant(token, "exp")


def lifetime_of(token: str) -> float | None:
    """Return how long a JWT is good for once it is issued, in seconds; None if it does not say."""
    issued_at, expires_at = _instant(token, "iat"), expiry_of(token)
    if expires_at is None:
        return None
    return expires_at - (time.time() if issued_at is None else issued_at)


def _instant(token: str, claim: str) -> float | None:
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return None
    instant = claims.get(claim) if isinstance(claims, dict) else None
    return float(instant) if isinstance(instant, (int, float)) else None
