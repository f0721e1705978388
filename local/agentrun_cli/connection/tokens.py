"""Tokens from a command, and when a token expires."""

import base64
import binascii
import json
import shlex
import subprocess
import time
from collections.abc import Callable

from agentrun_cli.errors import CommandError, UsageError

LEEWAY_S = 60
"""A token that expires within this time is not sent any more."""
COMMAND_TIMEOUT_S = 60
Clock = Callable[[], float]


class CommandToken:
    """
    Runs a command that prints a token, and again once that has expired.

    The command gets no shell: `~`, `$NAME` and `|` mean nothing in it. What it says on standard
    error is passed on.
    """

    def __init__(self, command: str, *, clock: Clock = time.time) -> None:
        self._command = command
        self._clock = clock
        self._token = ""
        self._expires_at = 0.0

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
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return None
    expires_at = claims.get("exp") if isinstance(claims, dict) else None
    return float(expires_at) if isinstance(expires_at, (int, float)) else None
