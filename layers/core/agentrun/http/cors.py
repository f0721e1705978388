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
    """Let scripts of these origins call an app and read its answers, its errors too."""
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=list(REQUEST_HEADERS),
        expose_headers=list(ANSWER_HEADERS),
        max_age=7200,
    )
