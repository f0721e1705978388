"""Cross-origin requests, answered by the functions for both doors alike."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrun.http.problems import problem

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
        invalidParams=[{"name": name, "reason": "is not allowed"} for name in at_fault],
    )
    of_body = {"content-type", "content-length"}
    answer.headers.update({k: v for k, v in refused.headers.items() if k not in of_body})
    return answer
