"""Logins on disk: readable by their owner alone, one file for each profile, never printed."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import httpx

from agentrun_cli.connection.profiles import Profile
from agentrun_cli.connection.tokens import LEEWAY_S, expiry_of
from agentrun_cli.connection.urls import origin_of
from agentrun_cli.errors import CommandError
from agentrun_cli.login.device_flow import DeviceFlow, Grant
from agentrun_cli.login.issuer import TIMEOUT_S, Endpoints, LoginError


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
    """Epoch seconds; None where nobody says."""

    def is_for(self, profile: Profile) -> bool:
        """Tell whether the profile still means the deployment that was logged in to."""
        return origin_of(profile.base_url) == origin_of(self.base_url)

    def with_grant(self, grant: Grant, *, now: float) -> "Login":
        """Return the login with fresh tokens; without a new refresh token the old one stays."""
        expires_at = expiry_of(grant.access_token)
        if grant.expires_in_s is not None:
            expires_at = now + grant.expires_in_s
        return replace(
            self,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token or self.refresh_token,
            expires_at=expires_at,
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
        """Delete the login; return whether there was one."""
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Hold the profile's lock, across processes.

        Issuers that rotate refresh tokens take a second use of one for theft, and withdraw all.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._file.with_suffix(".lock").open("w")
        except OSError as error:
            raise CommandError(f"{self._folder} cannot be used: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class LoginToken:
    """Returns the stored access token, and refreshes it a minute before it expires."""

    def __init__(self, store: LoginStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._login: Login | None = None

    def __call__(self) -> str:
        """
        Return a token.

        Raises:
            LoginError: The login has expired; log in again.
            NotReachableError: The issuer does not answer.
        """
        if self._login is None or self._has_expired(self._login):
            with self._store.locked():
                self._login = self._fresh()
        return self._login.access_token

    def _fresh(self) -> Login:
        login = self._store.read()
        if login is None:
            raise LoginError(self._again())
        if not self._has_expired(login):
            # Another process was first.
            return login
        if login.refresh_token is None:
            raise LoginError(self._again())
        endpoints = Endpoints(device="", token=login.token_endpoint)
        with httpx.Client(timeout=TIMEOUT_S) as http:
            flow = DeviceFlow(http, endpoints, login.client_id)
            try:
                grant = flow.refresh(login.refresh_token)
            except LoginError as error:
                raise LoginError(f"{error}; {self._again()}") from error
        fresh = login.with_grant(grant, now=self._clock())
        self._store.write(fresh)
        return fresh

    def _has_expired(self, login: Login) -> bool:
        return login.expires_at is not None and self._clock() >= login.expires_at - LEEWAY_S

    def _again(self) -> str:
        return f"log in again: agentrun login --profile {self._store.profile}"
