"""What wraps an app: a base path, CORS and security headers, and Lambda's invocations."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrun.http.problems import problem
from agentrun.service.ports import invocation_kept


class BasePathMiddleware:
    """
    Serves an app below a base path, and without it as well.

    API Gateway's base path mappings and CloudFront's behaviours pass on the client's whole path;
    the URLs that AWS gives an API and a function have no base path. It becomes ASGI's `root_path`,
    which `path` includes ("HTTP connection scope" in the specification): routes match what follows
    it, and a problem's `instance` is the path that the client sent.

    Mangum's `api_gateway_base_path` would not do: it strips `/assist` from `/assistant` too, and
    leaves no trace of what it stripped.
    """

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        """Wrap an app; `base_path` is a path such as `/assist`, or empty."""
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._base_path and scope["type"] == "http" and self._covers(scope["path"]):
            scope = {**scope, "root_path": self._base_path}
        await self._app(scope, receive, send)

    def _covers(self, path: str) -> bool:
        return f"{path}/".startswith(f"{self._base_path}/")


REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Accept",
    "Last-Event-ID",
    "Idempotency-Key",
    "X-Session-Policy",
    "X-Request-Id",
    # Sent by EventSource and its polyfills.
    "Cache-Control",
    # Added to every request by tracing in browsers (W3C Trace Context and Baggage; Sentry's own).
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
)
ANSWER_HEADERS = (
    "X-Run-Id",
    "X-Session-Id",
    "Idempotent-Replayed",
    "Retry-After",
    "Location",
    "WWW-Authenticate",
    "X-Request-Id",
)
_AT_FAULT = {
    "origin": "Origin",
    "method": "Access-Control-Request-Method",
    "headers": "Access-Control-Request-Headers",
    "private-network": "Access-Control-Request-Private-Network",
}
"""The header of a preflight that each of Starlette's reasons is about."""


class ProblemCORSMiddleware(CORSMiddleware):
    """Starlette's middleware, but it refuses a preflight with a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not _is_preflight(scope):
            await super().__call__(scope, receive, send)
            return
        answer = self.preflight_response(Headers(scope=scope))
        if answer.status_code != 200:
            answer = _refusal(Request(scope), answer)
        await answer(scope, receive, send)


def with_cors(
    app: ASGIApp, origins: Sequence[str], more_headers: Sequence[str] = ()
) -> CORSMiddleware:
    """
    Let scripts of these origins call an app and read its answers, errors included.

    Credentials in the sense of the Fetch standard, which browsers attach by themselves, are never
    allowed: a script has to send a token of its own.

    Args:
        app: The app to wrap.
        origins: As browsers send them, scheme and host without a path; `*` allows any.
        more_headers: Request headers to allow besides those that the API itself knows.
    """
    return ProblemCORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_credentials=False,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=[*REQUEST_HEADERS, *more_headers],
        expose_headers=list(ANSWER_HEADERS),
        max_age=7200,
    )


def _is_preflight(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    headers = Headers(scope=scope)
    return "origin" in headers and "access-control-request-method" in headers


def _refusal(request: Request, refused: Response) -> Response:
    """Turn a refused preflight into a problem; its headers, `Vary` among them, stay."""
    reasons = bytes(refused.body).decode().removeprefix("Disallowed CORS ").split(", ")
    at_fault = [_AT_FAULT[reason] for reason in reasons]
    answer = problem(
        request,
        400,
        "invalid-request",
        f"This API does not allow what the preflight asks for in {', '.join(at_fault)}.",
        invalid_params=[{"name": name, "reason": "is not allowed"} for name in at_fault],
    )
    of_body = {"content-type", "content-length"}
    answer.headers.update({k: v for k, v in refused.headers.items() if k not in of_body})
    return answer


SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=63072000",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""
The headers of every answer, unless it sets them itself.

No answer is a page, but each can be opened as one, and contains text that users and models have
written (source: OWASP's "REST Security Cheat Sheet").

- `nosniff`: such text is never taken for HTML or a script.
- `Strict-Transport-Security`: for custom domains, without their subdomains.
- `no-store`: an answer is for one caller. A stream sets its own value, for proxies.
- `Content-Security-Policy`: opened in a tab or a frame, an answer loads and runs nothing.
- `Referrer-Policy`: browsers make links of the URLs in JSON, and our paths contain run ids.

Left out: `X-Frame-Options`, which `frame-ancestors` replaces; `Permissions-Policy`, since a page
that runs nothing uses no features; `Cross-Origin-Resource-Policy`, since an embedded answer is a
401: no browser attaches a token by itself.
"""

_RAW = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class SecurityHeadersMiddleware:
    """Adds `SECURITY_HEADERS` to every answer of an app; a stream pays once, not for each event."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        # Not a coroutine, which would cost every event of a stream one more.
        def send_secured(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _completed(message.get("headers", ()))}
            return send(message)

        await self._app(scope, receive, send_secured)


def _completed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    own = list(headers)
    said = {name.lower() for name, _ in own}
    return own + [header for header in _RAW if header[0] not in said]


class KeptInvocations:
    """
    Returns from a request only once every execution that it has begun has ended.

    The answer is complete with its last byte, but when the app returns, the runtime lets Lambda
    freeze the process. That goes for every end of a request: an exception, an answer that cannot be
    sent, a client that is gone. A request that has begun nothing is not held.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app whose routes begin executions."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with invocation_kept():
            await self._app(scope, receive, send)


Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def ending_with(end: Callable[[], Awaitable[None]]) -> Lifespan:
    """Return a lifespan that awaits `end` at the app's shutdown."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None, None]:
        yield
        await end()

    return lifespan
