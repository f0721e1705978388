"""Headers by which every answer tells browsers and caches what not to do with it."""

from collections.abc import Awaitable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
