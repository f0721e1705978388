"""Cross-origin requests, answered by the functions for both doors alike."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Last-Event-ID",
    "Idempotency-Key",
    "X-Session-Policy",
)
ANSWER_HEADERS = ("X-Run-Id", "X-Session-Id", "Idempotent-Replayed", "Retry-After")


def with_cors(app: ASGIApp, origins: Sequence[str]) -> CORSMiddleware:
    """
    Let scripts of these origins call an app and read its answers, its errors too.

    Credentials in the sense of the Fetch standard, which browsers attach by themselves, are never
    allowed: the only thing that opens anything here is a token that a script has to hold itself.

    Args:
        app: What answers.
        origins: As browsers send them, scheme and host and no path; `*` among them is any.
    """
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_credentials=False,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=list(REQUEST_HEADERS),
        expose_headers=list(ANSWER_HEADERS),
        max_age=7200,
    )
