"""The token of a login: refreshed before it expires, and once more if it is refused."""

import time
from collections.abc import Callable

import httpx

from agentrun_cli.connection.tokens import LEEWAY_S
from agentrun_cli.errors import RefusedError
from agentrun_cli.login.device_flow import DeviceFlow, Grant
from agentrun_cli.login.issuer import TIMEOUT_S, Endpoints, LoginError
from agentrun_cli.login.stored import Login, LoginStore


class LoginEndedError(RefusedError):
    """There is no login any more; the message says how to log in again."""


class LoginToken:
    """
    Returns the stored access token, and refreshes it a minute before it expires.

    A token that the deployment refuses is refreshed earlier, once: its key may have been rotated,
    it may have been revoked, or this machine's clock may be wrong.
    """

    def __init__(
        self, store: LoginStore, base_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the login of a store, for the deployment at `base_url` alone."""
        self._store = store
        self._base_url = base_url
        self._clock = clock
        self._login: Login | None = None
        self._refused: str | None = None
        self._replacement: str | None = None
        """The token that was got in place of a refused one."""

    @property
    def remedy(self) -> str:
        """What to do if the deployment refuses every token."""
        return f"Is the login for this deployment? If it is, {self._again()}"

    def __call__(self) -> str:
        """
        Return a token.

        Raises:
            LoginEndedError: The login has expired, was withdrawn or is of another deployment.
            NotReachableError: The issuer does not answer.
        """
        if self._login is None or self._is_used_up(self._login):
            with self._store.locked():
                fresh = self._fresh()
            if self._login is not None and self._login.access_token == self._refused:
                self._replacement = fresh.access_token
            self._login = fresh
        return self._login.access_token

    def refused(self, token: str) -> None:
        """Take note that a token was refused; the next one is another one."""
        # Where a fresh token is refused, too, more of them would not help.
        if token != self._replacement:
            self._refused = token

    def _fresh(self) -> Login:
        login = self._store.read()
        if login is None:
            raise LoginEndedError(f"not logged in any more; {self._again()}")
        if not login.is_for(self._base_url):
            raise LoginEndedError(f"the login is for {login.base_url} now; {self._again()}")
        if not self._is_used_up(login):
            # Another process was first.
            return login
        fresh = login.with_grant(self._refresh(login), now=self._clock())
        self._store.write(fresh)
        return fresh

    def _refresh(self, login: Login) -> Grant:
        if login.refresh_token is None:
            raise LoginEndedError(f"the login cannot be renewed; {self._again()}")
        endpoints = Endpoints(device="", token=login.token_endpoint)
        with httpx.Client(timeout=TIMEOUT_S) as http:
            try:
                return DeviceFlow(http, endpoints, login.client_id).refresh(login.refresh_token)
            except LoginError as error:
                raise LoginEndedError(f"{error}; {self._again()}") from error

    def _is_used_up(self, login: Login) -> bool:
        if login.access_token == self._refused:
            return True
        return login.expires_at is not None and self._clock() >= login.expires_at - LEEWAY_S

    def _again(self) -> str:
        return f"log in again: agentrun login --profile {self._store.profile}"
