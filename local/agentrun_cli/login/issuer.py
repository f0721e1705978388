"""What an issuer says about itself: where its endpoints are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from agentrun_cli.connection.urls import is_loopback
from agentrun_cli.errors import CommandError, NotReachableError

TIMEOUT_S = 20.0


class LoginError(CommandError):
    """The issuer gives no token; the message says why, in its words or ours."""


@dataclass(frozen=True)
class Endpoints:
    """The two endpoints of the device flow."""

    device: str
    token: str


def discover(http: httpx.Client, issuer: str) -> Endpoints:
    """
    Find an issuer's endpoints by OpenID Connect Discovery, then by RFC 8414.

    Raises:
        LoginError: It publishes neither document, or has no device flow.
        NotReachableError: It does not answer.
    """
    _only_secure(issuer)
    for url in _documents(issuer):
        document = _document(http, url)
        if document is None:
            continue
        # RFC 8414, 3.3: metadata of another issuer must not be used.
        if str(document.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
            raise LoginError(f"{url} is of another issuer, {document.get('issuer')!r}")
        return _endpoints(issuer, document)
    raise LoginError(f"{issuer} publishes no openid-configuration; is it an issuer?")


def _documents(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    host = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{host}{path}/.well-known/openid-configuration",
        # RFC 8414, 3.1: the path comes behind.
        f"{host}/.well-known/oauth-authorization-server{path}",
    )


def _document(http: httpx.Client, url: str) -> Mapping[str, Any] | None:
    try:
        answer = http.get(url, headers={"Accept": "application/json"})
    except httpx.HTTPError as error:
        raise NotReachableError(f"{url} does not answer: {error}") from error
    if answer.status_code != httpx.codes.OK:
        return None
    return read_json(answer)


def _endpoints(issuer: str, document: Mapping[str, Any]) -> Endpoints:
    device = document.get("device_authorization_endpoint")
    token = document.get("token_endpoint")
    if not isinstance(device, str) or not isinstance(token, str):
        raise LoginError(f"{issuer} has no device flow; set a token_command in the profile instead")
    for url in (device, token):
        _only_secure(url)
    return Endpoints(device, token)


def _only_secure(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and is_loopback(url)):
        raise LoginError(f"'{url}' is no https URL; a token must not be sent there")


def read_json(answer: httpx.Response) -> Mapping[str, Any]:
    """
    Return an answer's JSON object.

    Raises:
        LoginError: It is none.
    """
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise LoginError(f"{answer.request.url} answered {answer.status_code} without JSON")
    return said
