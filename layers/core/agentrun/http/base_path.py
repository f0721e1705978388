"""Serving below a base path, as a custom domain may have one; nothing else here is like it."""

from starlette.types import ASGIApp, Receive, Scope, Send


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
