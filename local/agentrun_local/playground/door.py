"""The playground's door: static files in front of the REST API's own."""

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agentrun_local.doors.http_messages import (
    HttpRequest,
    Receive,
    Scope,
    Send,
    request_head,
    send_whole,
)
from agentrun_local.doors.routing import base_path_of
from agentrun_local.doors.web_server import Door
from agentrun_local.playground.assets import Asset

CONFIG_PATH = "/playground/config.json"
_REDIRECTS = {"/docs": "/docs/"}
_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class PlaygroundSettings:
    """
    What the page has to know.

    `base_path` is where the REST API lies on the page's own origin, `stream_url` the Function URL's
    base, `token` signs a fresh token or is None where this machine's are not accepted. `sign_in` is
    what the page is told of the issuer at which people sign in then, `sign_in_origins` what that
    talks to; both may be empty.
    """

    base_path: str
    stream_url: str | None
    token: Callable[[], str] | None
    sign_in: Mapping[str, str] = field(default_factory=dict)
    sign_in_origins: tuple[str, ...] = ()


class PlaygroundDoor:
    """
    An ASGI app: the page's files and its settings; all else goes on to the API.

    The settings hold a token, so they are for pages of this very origin: no CORS header, and no
    name but a loopback one in `Host`, or any site could have its own name point here (DNS
    rebinding).
    """

    def __init__(
        self, assets: Mapping[str, Asset], settings: PlaygroundSettings, *, api: Door
    ) -> None:
        self._assets = assets
        self._settings = settings
        self._api = api
        streams = filter(None, (settings.stream_url,))
        self._headers = _security_headers(*streams, *settings.sign_in_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        request = request_head(scope) if scope["type"] == "http" else None
        if request is None or not self._is_own(request):
            await self._api(scope, receive, send)
            return
        if not is_loopback(request.header("host") or ""):
            await self._answer(send, request, 421, "text/plain", b"Ask for 127.0.0.1.\n")
            return
        if request.path == CONFIG_PATH:
            content = json.dumps(self._config()).encode()
            await self._answer(send, request, 200, "application/json", content)
        elif request.path in _REDIRECTS:
            location = (("location", _REDIRECTS[request.path]),)
            await self._answer(send, request, 308, "text/plain", b"", location)
        else:
            await self._file(send, request, self._assets[request.path])

    def _is_own(self, request: HttpRequest) -> bool:
        if request.method not in _METHODS:
            return False
        base_path = self._settings.base_path
        if base_path and base_path_of(request.path, base_path):
            return False
        path = request.path
        return path in self._assets or path in _REDIRECTS or path == CONFIG_PATH

    async def _file(self, send: Send, request: HttpRequest, asset: Asset) -> None:
        headers: tuple[tuple[str, str], ...] = (
            ("cache-control", asset.cache_control),
            # Weak, as it is the same for both encodings (RFC 9110, 8.8.1).
            ("etag", f"W/{asset.etag}"),
            ("vary", "accept-encoding"),
        )
        if (request.header("if-none-match") or "").removeprefix("W/") == asset.etag:
            await self._answer(send, request, 304, asset.content_type, b"", headers)
            return
        content = asset.content
        if "gzip" in (request.header("accept-encoding") or ""):
            content = asset.gzipped
            headers = (*headers, ("content-encoding", "gzip"))
        await self._answer(send, request, 200, asset.content_type, content, headers)

    async def _answer(
        self,
        send: Send,
        request: HttpRequest,
        status: int,
        content_type: str,
        content: bytes,
        headers: tuple[tuple[str, str], ...] = (("cache-control", "no-store"),),
    ) -> None:
        fields = (("content-type", content_type), *headers, *self._headers)
        body = b"" if request.method == "HEAD" else content
        await send_whole(send, status, fields, body)

    def _config(self) -> dict[str, str]:
        config = {"basePath": self._settings.base_path, **self._settings.sign_in}
        if self._settings.stream_url is not None:
            config["streamUrl"] = self._settings.stream_url
        if self._settings.token is not None:
            config["token"] = self._settings.token()
        return config


def is_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine: a loopback address, or localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _security_headers(*connected: str) -> tuple[tuple[str, str], ...]:
    policy = {
        "default-src": "'self'",
        "connect-src": " ".join(("'self'", *connected)),
        # Pictures that are attached are shown, and so are those that an answer holds as data;
        # none is loaded from elsewhere, which would tell others what an answer says.
        "img-src": "'self' data: blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return (
        ("content-security-policy", "; ".join(f"{k} {v}" for k, v in policy.items())),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    )
