"""A REST API as the template defines it: routes, authorizers, gateway responses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentrun_local.errors import TemplateError
from agentrun_local.template.cloudformation import Resource

DEFAULT_TIMEOUT_S = 29.0
"""Integration timeout where the template says nothing (API Gateway's quota for REST APIs)."""

_FUNCTION = re.compile(r":function:([^/]+)/")
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_ANY_METHOD = "x-amazon-apigateway-any-method"


@dataclass(frozen=True)
class MockAnswer:
    """What a MOCK integration answers; SAM makes one of every preflight."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Route:
    """One method of one resource; `function` is None exactly when `mock` is there."""

    method: str
    resource: str
    function: str | None
    mock: MockAnswer | None
    streaming: bool
    authorizer: str | None
    timeout_s: float


@dataclass(frozen=True)
class Authorizer:
    """
    A Lambda authorizer.

    `identity_sources` are mapping expressions such as `method.request.header.Authorization`;
    without every one of them API Gateway answers 401 and calls nobody. A TTL of 0 means no cache.
    """

    function: str
    kind: Literal["TOKEN", "REQUEST"]
    identity_sources: tuple[str, ...]
    ttl_s: int
    validation: str | None


@dataclass(frozen=True)
class GatewayResponse:
    """How API Gateway words an answer of its own; None leaves its default."""

    status: int | None
    headers: Mapping[str, str]
    template: str | None


@dataclass(frozen=True)
class RestApi:
    """A REST API behind one stage; `base_path` is that of a domain's mapping, such as `/assist`."""

    stage: str
    routes: tuple[Route, ...]
    authorizers: Mapping[str, Authorizer]
    gateway_responses: Mapping[str, GatewayResponse]
    binary_media_types: tuple[str, ...] = field(default=())
    base_path: str = ""


def read_rest_api(api: Resource, resources: Mapping[str, Resource]) -> RestApi:
    """
    Read the OpenAPI document that the SAM translator has written.

    Raises:
        TemplateError: An integration is neither a Lambda proxy nor a mock.
    """
    body = api.properties.get("Body", {})
    authorizers = _authorizers(body)
    return RestApi(
        stage=_stage(resources),
        routes=tuple(
            _route(method, path, operation, authorizers)
            for path, operations in body.get("paths", {}).items()
            for method, operation in operations.items()
            if method in (*_METHODS, _ANY_METHOD)
        ),
        authorizers=authorizers,
        gateway_responses={
            name: _gateway_response(definition)
            for name, definition in body.get("x-amazon-apigateway-gateway-responses", {}).items()
        },
        binary_media_types=tuple(body.get("x-amazon-apigateway-binary-media-types", ())),
    )


def _authorizers(body: dict[str, Any]) -> dict[str, Authorizer]:
    # Swagger 2 and OpenAPI 3 keep them in different places.
    openapi_3 = body.get("components", {}).get("securitySchemes", {})
    return {
        name: _authorizer(scheme)
        for name, scheme in body.get("securityDefinitions", openapi_3).items()
        if "x-amazon-apigateway-authorizer" in scheme
    }


def _stage(resources: Mapping[str, Resource]) -> str:
    stages = [r.properties for r in resources.values() if r.type == "AWS::ApiGateway::Stage"]
    return str(stages[0]["StageName"]) if stages else "local"


def _route(
    method: str, path: str, operation: dict[str, Any], authorizers: Mapping[str, Authorizer]
) -> Route:
    integration = operation["x-amazon-apigateway-integration"]
    is_mock = integration["type"].lower() == "mock"
    if not is_mock and integration["type"].lower() != "aws_proxy":
        raise TemplateError(f"{path}: the local stack knows only Lambda proxies and mocks.")
    schemes = [name for entry in operation.get("security", []) for name in entry]
    return Route(
        method="ANY" if method == _ANY_METHOD else method.upper(),
        resource=path,
        function=None if is_mock else _function(integration["uri"]),
        mock=_mock(integration) if is_mock else None,
        streaming=integration.get("responseTransferMode") == "STREAM",
        authorizer=next((name for name in schemes if name in authorizers), None),
        timeout_s=float(integration.get("timeoutInMillis", DEFAULT_TIMEOUT_S * 1000)) / 1000,
    )


def _mock(integration: dict[str, Any]) -> MockAnswer:
    answer = integration["responses"]["default"]
    prefix = "method.response.header."
    return MockAnswer(
        status=int(answer["statusCode"]),
        headers={
            name.removeprefix(prefix): _literal(value)
            for name, value in answer.get("responseParameters", {}).items()
        },
        body=answer.get("responseTemplates", {}).get("application/json", ""),
    )


def _authorizer(scheme: dict[str, Any]) -> Authorizer:
    settings = scheme["x-amazon-apigateway-authorizer"]
    is_token = settings["type"].lower() == "token"
    # For a TOKEN authorizer the scheme itself names the header.
    sources = (
        f"method.request.header.{scheme['name']}"
        if is_token
        else settings.get("identitySource", "")
    )
    return Authorizer(
        function=_function(settings["authorizerUri"]),
        kind="TOKEN" if is_token else "REQUEST",
        identity_sources=tuple(source.strip() for source in sources.split(",") if source.strip()),
        # 300 s is API Gateway's default.
        ttl_s=int(settings.get("authorizerResultTtlInSeconds", 300)),
        validation=settings.get("identityValidationExpression"),
    )


def _gateway_response(definition: dict[str, Any]) -> GatewayResponse:
    prefix = "gatewayresponse.header."
    status = definition.get("statusCode")
    return GatewayResponse(
        status=int(status) if status else None,
        headers={
            name.removeprefix(prefix): _literal(value)
            for name, value in definition.get("responseParameters", {}).items()
            if name.startswith(prefix)
        },
        template=definition.get("responseTemplates", {}).get("application/json"),
    )


def _literal(expression: str) -> str:
    # API Gateway writes a constant between single quotes.
    return expression.removeprefix("'").removesuffix("'")


def _function(uri: str) -> str:
    match = _FUNCTION.search(uri)
    if match is None:
        raise TemplateError(f"No Lambda function stands in the integration's URI {uri}.")
    return match[1]
