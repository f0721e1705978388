"""Lambda events to ASGI: Mangum's adapters, and what they leave out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.handlers import APIGateway, HTTPGateway
from mangum.types import LambdaConfig

from lambda_asgi.asgi import Scope

NOT_HTTP = {"handled": False, "reason": "not an HTTP event"}
"""The answer to an event that is not an HTTP request, such as a scheduled warm-up."""

# From this version on, Starlette streams without a second task that waits for a disconnect, which
# Lambda never reports.
_ASGI = {"version": "3.0", "spec_version": "2.4"}

# With Mangum's own list, `application/problem+json` would be base64, which a REST API without
# binary media types does not decode.
_CONFIG = LambdaConfig(
    api_gateway_base_path="/",
    text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, "+json", "+xml"],
    exclude_headers=[],
)

# RFC 3986: the characters that a path may contain unescaped, and the percent sign of escapes.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._"

_Event = dict[str, Any]


@dataclass(frozen=True)
class HttpEvent:
    """An HTTP request: its ASGI scope, its whole body, and Mangum's adapter for the event."""

    scope: Scope
    body: bytes
    adapter: HTTPGateway | APIGateway


def read_http_event(event: object, context: Any) -> HttpEvent | None:
    """
    Read a Function URL, HTTP API (payload 2.0 or 1.0) or REST API event; None for others.

    Args:
        event: The decoded JSON, kept unchanged in `scope["aws.event"]`.
        context: The Lambda context, for `scope["aws.context"]`.

    Raises:
        KeyError: The event lacks what its payload version requires.
        ValueError: The body is not base64, although the event says so.
    """
    adapter_type = _adapter_type(event)
    if adapter_type is None or not isinstance(event, dict):
        return None
    adapter = adapter_type(_tidied(event), context, _CONFIG)
    scope = adapter.scope
    scope.update(_details(event, scope))
    scope["aws.event"] = event
    return HttpEvent(scope=scope, body=adapter.body, adapter=adapter)


def _adapter_type(event: object) -> type[HTTPGateway] | type[APIGateway] | None:
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        return None
    if event.get("version") == "2.0":
        return HTTPGateway if isinstance(event["requestContext"].get("http"), dict) else None
    if not event.get("httpMethod"):
        return None
    if "version" in event:
        return HTTPGateway
    return APIGateway if "resource" in event else None


def _tidied(event: _Event) -> _Event:
    """Remove the nulls of API Gateway's console tests, and headers that Mangum cannot parse."""
    request_context = event["requestContext"]
    tidied = {
        **event,
        "requestContext": {**request_context, "identity": request_context.get("identity") or {}},
    }
    for name in ("headers", "multiValueHeaders"):
        # Mangum splits `host` and the port at colons, and would fail on an IPv6 address.
        tidied[name] = {
            key: value
            for key, value in (event.get(name) or {}).items()
            if value is not None and key.lower() not in {"host", "x-forwarded-port"}
        }
    for name in ("queryStringParameters", "multiValueQueryStringParameters"):
        tidied[name] = {k: v for k, v in (event.get(name) or {}).items() if v is not None}
    return tidied


def _details(event: _Event, scope: Scope) -> Scope:
    headers = [(k.lower().encode(), v.encode()) for k, v in _headers(event)]
    by_name = {k: v.decode() for k, v in reversed(headers)}
    scheme = by_name.get(b"x-forwarded-proto", "https").split(",")[0].strip()
    raw_path = _raw_path(event)
    return {
        "asgi": _ASGI,
        "headers": headers,
        "scheme": scheme,
        "path": unquote(raw_path),
        "raw_path": quote(raw_path, safe=_PATH_CHARACTERS).encode(),
        "server": _server(event, by_name, scheme),
        "client": scope["client"] if scope["client"][0] else None,
    }


def _headers(event: _Event) -> Iterator[tuple[str, str]]:
    """Yield a pair per header line; cookies, which HTTP/2 may split, in one line (RFC 9113)."""
    single: dict[str, str] = event.get("headers") or {}
    multi: dict[str, list[str] | None] = event.get("multiValueHeaders") or {}
    cookies: list[str] = list(event.get("cookies") or [])
    lines = {name.lower(): [value] for name, value in single.items() if value is not None}
    lines.update({name.lower(): values for name, values in multi.items() if values})
    cookies = cookies or lines.get("cookie", [])
    for name, values in lines.items():
        if name != "cookie":
            yield from ((name, value) for value in values)
    if cookies:
        yield "cookie", "; ".join(cookies)


def _raw_path(event: _Event) -> str:
    """
    Return the path below the stage, percent-encoded and never empty.

    A REST API's `path` has no stage, an HTTP API's has one. REST APIs and Function URLs keep the
    client's escapes; HTTP APIs decode them, so that `%25` cannot be told from `%`.
    """
    request_context = event["requestContext"]
    http = request_context.get("http") or {}
    path: str = event.get("rawPath") or event.get("path") or http.get("path") or "/"
    stage = request_context.get("stage")
    if "version" in event and stage and stage != "$default":
        prefix = f"/{stage}"
        if path == prefix or path.startswith(f"{prefix}/"):
            path = path[len(prefix) :]
    return path or "/"


def _server(event: _Event, headers: Mapping[bytes, str], scheme: str) -> tuple[str, int]:
    host = headers.get(b"host") or event["requestContext"].get("domainName") or "localhost"
    default = headers.get(b"x-forwarded-port", "")
    port = int(default) if default.isdecimal() else 443 if scheme == "https" else 80
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or host, parts.port or port
    except ValueError:
        return host, port
