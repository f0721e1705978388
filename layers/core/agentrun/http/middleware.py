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
from agentrun.service.invocation import invocation_kept


class BasePathMiddleware:
    """
    Serves an app below a base path, and without it as well.

    A base path mapping of API Gateway and a behaviour of CloudFront hand the client's whole path
    on; the URLs that AWS gives an API and a function have no base path. It becomes the `root_path`
    of ASGI, which `path` includes ("HTTP connection scope" in its specification): routes match what
    follows it, and what repeats the path, `instance` of a problem, shows the client's own.

    Mangum's `api_gateway_base_path` would not do: it takes `/assist` off `/assistant` too, and
    leaves no trace of what it has taken off.
    """

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        """Take an app, and a path such as `/assist` or nothing."""
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
    # EventSource and its polyfills ask caches to stand aside.
    "Cache-Control",
    # What tracing in browsers adds to every request (W3C Trace Context and Baggage; Sentry's own).
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
"""Which header of a preflight each of Starlette's reasons is about."""


class ProblemCORSMiddleware(CORSMiddleware):
    """Starlette's, but a refused preflight is a problem like every other refusal."""

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
    Let scripts of these origins call an app and read its answers, its errors too.

    Credentials in the sense of the Fetch standard, which browsers attach by themselves, are never
    allowed: the only thing that opens anything here is a token that a script has to hold itself.

    Args:
        app: What answers.
        origins: As browsers send them, scheme and host and no path; `*` among them is any.
        more_headers: What requests may carry besides the headers that the API itself knows.
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
    """Word a preflight's refusal as a problem; its headers, `Vary` among them, stay."""
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
What an answer is sent with, unless it says otherwise itself.

No answer is a page, yet each can be opened as one, and holds text that users and models have
written (source: OWASP's "REST Security Cheat Sheet").

- `nosniff`: such text is never taken for HTML or a script, whatever it looks like.
- `Strict-Transport-Security`: for a domain of one's own; its subdomains are not ours to decide on.
- `no-store`: answers are one caller's own. A stream has its own, for proxies.
- `Content-Security-Policy`: opened in a tab or a frame, an answer loads nothing and runs nothing.
- `Referrer-Policy`: browsers show JSON with its links, and a path names a run.

Left out: `X-Frame-Options`, which `frame-ancestors` replaces; `Permissions-Policy`, for a document
that may run nothing has no features to be denied; `Cross-Origin-Resource-Policy`, because without a
token, which no browser attaches by itself, an embedded answer is a 401.
"""

_RAW = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class SecurityHeadersMiddleware:
    """Adds the headers to each answer of an app; a stream pays for it once, not for each event."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        # Not a coroutine: every event of a stream would have to pass through one more.
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

    The answer is complete with its last byte; the runtime lets Lambda freeze the process when the
    app returns. It returns late however the request ends: with an exception after the run has gone
    on, with an answer that cannot be sent, or without its client. A request that has begun nothing
    is not held.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Take the app whose routes begin executions."""
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
    """Return an app's lifespan that needs no start and calls `end` at its shutdown."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None, None]:
        yield
        await end()

    return lifespan
