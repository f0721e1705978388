"""Both functions behind both doors, in this process: routes as the template has them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.translated_template import openapi, routes

Authorizer = Callable[[dict[str, Any], object], dict[str, Any]]
METHOD_ARN = "arn:aws:execute-api:eu-west-1:123456789012:api/live/GET/"


class RestApi:
    """
    Routes by path and method, asks the authorizer, and answers refusals as the template says.

    Nothing is cached, and the functions get requests, not events.
    """

    def __init__(self, stream: ASGIApp, status: ASGIApp, authorizer: Authorizer) -> None:
        self.stream = stream
        self._authorizer = authorizer
        apps = {"StreamFunction": stream, "StatusFunction": status}
        self._routes = [
            (
                re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(path))),
                method.upper(),
                next(app for name, app in apps.items() if name in str(found)),
                "BearerToken" in str(found),
            )
            # Fixed parts go before parameters, as in API Gateway.
            for (path, method), found in sorted(
                routes().items(), key=lambda route: route[0][0].replace("{", "~")
            )
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        for pattern, method, app, is_protected in self._routes:
            if method == scope["method"] and pattern.fullmatch(scope["path"]):
                answer = self._let_in(scope) if is_protected else None
                await (answer or app)(scope, receive, send)
                return
        await _gateway_answer("MISSING_AUTHENTICATION_TOKEN")(scope, receive, send)

    def _let_in(self, scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]] | None:
        token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        event = {"type": "TOKEN", "authorizationToken": token, "methodArn": METHOD_ARN}
        if not token:
            return _gateway_answer("UNAUTHORIZED")
        try:
            identity = self._authorizer(event, None)["context"]
        except Exception as error:
            if str(error) != "Unauthorized":
                raise
            return _gateway_answer("UNAUTHORIZED")
        scope["aws.event"] = {"requestContext": {"authorizer": identity}}
        return None


def _gateway_answer(kind: str) -> JSONResponse:
    configured = openapi()["x-amazon-apigateway-gateway-responses"][kind]
    (template,) = configured["responseTemplates"].values()
    headers = {
        name.rpartition(".")[2]: value.strip("'")
        for name, value in configured["responseParameters"].items()
    }
    return _Problem(template, int(configured["statusCode"]), headers)


class _Problem(JSONResponse):
    """What API Gateway says by itself."""

    def __init__(self, template: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(template, status, headers, media_type="application/problem+json")

    def render(self, content: str) -> bytes:
        return content.encode()


class FunctionUrl:
    """Hands everything to the stream function, as a payload of the version 2.0 would come."""

    def __init__(self, stream: ASGIApp) -> None:
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["aws.event"] = {"version": "2.0"}
        await self._stream(scope, receive, send)


def rest_api(app_module: Callable[[str], ModuleType]) -> RestApi:
    """Put the functions' own apps behind the door."""
    return RestApi(
        app_module("stream").app, app_module("status").app, app_module("authorizer").handler
    )
