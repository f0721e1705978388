"""The device flow of RFC 8628, and refreshing what it gave (RFC 6749, 6)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from agentrun_cli.errors import NotReachableError
from agentrun_cli.login.issuer import Endpoints, LoginError, read_json

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL_S = 5.0
"""RFC 8628, 3.2: where the issuer names none; 3.5: and what `slow_down` adds."""
_BUSY = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS})
_SAID = {
    "access_denied": "the login was denied",
    "expired_token": "nobody confirmed the code in time; run agentrun login again",
    "invalid_client": "the issuer does not know this client id",
    "unauthorized_client": "the issuer does not allow this client the device flow",
    "invalid_grant": "the login has expired or was withdrawn",
    "invalid_scope": "the issuer does not grant this scope",
}


@dataclass(frozen=True)
class DeviceCode:
    """What the user confirms in a browser."""

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in_s: float
    interval_s: float


@dataclass(frozen=True)
class Grant:
    """Tokens; `expires_in_s` from now, or None where the issuer does not say."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in_s: float | None


class DeviceFlow:
    """Speaks with one issuer for one client."""

    def __init__(
        self,
        http: httpx.Client,
        endpoints: Endpoints,
        client_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._client_id = client_id
        self._clock = clock
        self._sleep = sleep

    def begin(self, *, scope: str | None, audience: str | None) -> DeviceCode:
        """
        Ask for a code.

        Args:
            scope: Scopes, with a space between two; `offline_access` asks for a refresh token.
            audience: Not of RFC 8628, but what Auth0 and others need.

        Raises:
            LoginError: The issuer refuses.
            NotReachableError: It does not answer.
        """
        said = self._post(self._endpoints.device, {"scope": scope, "audience": audience})
        try:
            return DeviceCode(
                device_code=str(said["device_code"]),
                user_code=str(said["user_code"]),
                verification_uri=str(said["verification_uri"]),
                verification_uri_complete=said.get("verification_uri_complete"),
                expires_in_s=float(said["expires_in"]),
                interval_s=float(said.get("interval") or DEFAULT_INTERVAL_S),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LoginError(_complaint(said)) from error

    def wait(self, code: DeviceCode) -> Grant:
        """
        Poll until the user has confirmed the code.

        Raises:
            LoginError: They denied it, or the code has expired.
        """
        interval_s, give_up_at = code.interval_s, self._clock() + code.expires_in_s
        while self._clock() < give_up_at:
            self._sleep(interval_s)
            try:
                said = self._token(grant_type=GRANT, device_code=code.device_code)
            except NotReachableError:
                # RFC 8628, 3.5: after a time-out, poll less often.
                interval_s *= 2
                continue
            match said.get("error"):
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval_s += DEFAULT_INTERVAL_S
                case _:
                    return _grant(said)
        raise LoginError(_SAID["expired_token"])

    def refresh(self, refresh_token: str) -> Grant:
        """
        Exchange a refresh token for fresh tokens; an issuer that rotates them sends a new one.

        Raises:
            LoginError: It has expired or was withdrawn.
            NotReachableError: The issuer does not answer, or cannot at the moment; trying again is
                safe unless it rotates.
        """
        return _grant(self._token(grant_type="refresh_token", refresh_token=refresh_token))

    def _token(self, **fields: str) -> Mapping[str, Any]:
        return self._post(self._endpoints.token, fields)

    def _post(self, url: str, fields: Mapping[str, str | None]) -> Mapping[str, Any]:
        form = {name: value for name, value in fields.items() if value}
        try:
            answer = self._http.post(url, data={"client_id": self._client_id, **form})
        except httpx.HTTPError as error:
            raise NotReachableError(f"{url} does not answer: {error}") from error
        if answer.status_code in _BUSY or answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise NotReachableError(f"{url} answered {answer.status_code}; try again later")
        return read_json(answer)


def _grant(said: Mapping[str, Any]) -> Grant:
    token = said.get("access_token")
    if not isinstance(token, str) or not token:
        raise LoginError(_complaint(said))
    expires_in, refresh = said.get("expires_in"), said.get("refresh_token")
    return Grant(
        access_token=token,
        refresh_token=refresh if isinstance(refresh, str) else None,
        expires_in_s=float(expires_in) if isinstance(expires_in, (int, float)) else None,
    )


def _complaint(said: Mapping[str, Any]) -> str:
    error = str(said.get("error", "the issuer's answer is not complete"))
    described = said.get("error_description")
    known = _SAID.get(error, error)
    return f"{known} ({described})" if isinstance(described, str) else known
