"""Logins on disk: readable by their owner alone, one file for each profile, never printed."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from agentrun_cli.connection.tokens import lifetime_of
from agentrun_cli.connection.urls import origin_of
from agentrun_cli.errors import CommandError
from agentrun_cli.login.device_flow import Grant


@dataclass(frozen=True)
class Login:
    """Tokens of an issuer for one deployment."""

    base_url: str
    issuer: str
    client_id: str
    token_endpoint: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None
    """Epoch seconds by this machine's clock; None where nobody says."""

    def is_for(self, base_url: str) -> bool:
        """Tell whether this is the deployment that was logged in to."""
        return origin_of(base_url) == origin_of(self.base_url)

    def with_grant(self, grant: Grant, *, now: float) -> "Login":
        """Return the login with fresh tokens; without a new refresh token the old one stays."""
        # From now, whatever the issuer's clock says: the two may differ.
        lifetime_s = grant.expires_in_s
        if lifetime_s is None:
            lifetime_s = lifetime_of(grant.access_token)
        return replace(
            self,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token or self.refresh_token,
            expires_at=None if lifetime_s is None else now + lifetime_s,
        )


class LoginStore:
    """Keeps the login of one profile."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.profile = profile
        self._folder = folder
        self._file = folder / f"{profile}.json"

    def read(self) -> Login | None:
        """
        Return the login; None if there is none.

        Raises:
            CommandError: The file is broken.
        """
        try:
            return Login(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            again = f"agentrun login --profile {self.profile}"
            raise CommandError(f"{self._file} cannot be read; run: {again}") from error

    def write(self, login: Login) -> None:
        """
        Replace the login; only with the lock held.

        Raises:
            CommandError: The file cannot be written.
        """
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            # Made with these rights, so that nobody can open it before they are set.
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                json.dump(asdict(login), opened)
            draft.replace(self._file)
        except OSError as error:
            raise CommandError(f"{self._file} cannot be written: {error.strerror}") from error

    def delete(self) -> bool:
        """
        Delete the login; return whether there was one.

        Raises:
            CommandError: The folder cannot be used.
        """
        if not self._file.exists():
            return False
        # Without the lock, a process that is refreshing the login would write it again.
        with self.locked():
            self._file.unlink(missing_ok=True)
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Hold the profile's lock, across processes.

        Issuers that rotate refresh tokens take a second use of one for theft, and withdraw all
        (RFC 9700, 4.14.2).
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._file.with_suffix(".lock").open("w")
        except OSError as error:
            raise CommandError(f"{self._folder} cannot be used: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
