"""An issuer with the device flow (RFC 8628) on loopback, whose answers a test chooses."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from tests.http_server import answering, send, served

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DISCOVERY = "/.well-known/openid-configuration"


class DeviceIssuer:
    """
    Gives out one device code, and tokens named `access-1`, `access-2` and so on.

    `token` makes the access tokens by their number; `busy` is a status that the token endpoint
    answers as long as it is set. `pending` are the errors that polls get before there is a token;
    `documents` are what discovery says, by path.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.token: Callable[[int], str] = lambda number: f"access-{number}"
        self.busy: int | None = None
        self.pending: list[str] = []
        self.refusals: dict[str, str] = {}
        """By grant type, the error that the token endpoint answers."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.expires_in: float | None = 600
        self.code: dict[str, Any] = {
            "device_code": "device-1",
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{url}/device",
            "expires_in": 600,
            "interval": 0.01,
        }
        self.documents: dict[str, dict[str, Any]] = {
            DISCOVERY: {
                "issuer": url,
                "device_authorization_endpoint": f"{url}/device/code",
                "token_endpoint": f"{url}/token",
            }
        }
        self._given = 0
        self.refresh_token: str | None = None

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        length = int(handler.headers.get("Content-Length") or 0)
        form = dict(parse_qsl(handler.rfile.read(length).decode()))
        self.asked.append((handler.path, form))
        if handler.command == "GET":
            document = self.documents.get(handler.path)
            self._send(handler, 404 if document is None else 200, document or {})
        elif handler.path == "/device/code":
            self._send(handler, 200, self.code)
        else:
            self._token(handler, form)

    def _token(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        grant = form["grant_type"]
        known = {DEVICE_GRANT: ("device_code", "device-1")}
        name, value = known.get(grant, ("refresh_token", self.refresh_token))
        if self.busy:
            send(handler, self.busy, b"<html>Busy</html>")
        elif grant in self.refusals:
            self._refuse(handler, self.refusals[grant])
        elif form.get(name) != value:
            self._refuse(handler, "invalid_grant")
        elif grant == DEVICE_GRANT and self.pending:
            self._refuse(handler, self.pending.pop(0))
        else:
            self._grant(handler)

    def _grant(self, handler: BaseHTTPRequestHandler) -> None:
        self._given += 1
        # A refresh token is good once, as those of issuers that rotate them.
        self.refresh_token = f"refresh-{self._given}"
        expiry = {} if self.expires_in is None else {"expires_in": self.expires_in}
        said = {"access_token": self.token(self._given), "refresh_token": self.refresh_token}
        self._send(handler, 200, {**said, **expiry, "token_type": "Bearer"})

    def _refuse(self, handler: BaseHTTPRequestHandler, error: str) -> None:
        self._send(handler, 400, {"error": error})

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
        send(handler, status, json.dumps(body).encode(), **{"Content-Type": "application/json"})

    def forms(self, path: str) -> list[dict[str, str]]:
        """Return what was posted to a path."""
        return [form for asked, form in self.asked if asked == path and form]


@contextmanager
def running_device_issuer() -> Iterator[DeviceIssuer]:
    """Serve an issuer."""
    with served(answering(lambda asked: issuer.serve(asked))) as url:  # noqa: PLW0108 - made below
        issuer = DeviceIssuer(url)
        yield issuer
