"""
A request as a REST API hands it to a Lambda proxy integration: payload format 1.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.functions.invocation import to_event
from agentrun_local.template.cloudformation import ACCOUNT, REGION

API_ID = "localapi"


@dataclass(frozen=True)
class RoutedRequest:
    """
    A request and where API Gateway has routed it.

    `authorizer` is the authorizer's context, `base_path` what a domain's mapping has put before the
    resource: it stays in the event's `path` and is not in the ARN that a caller asks to invoke.
    """

    http: HttpRequest
    stage: str
    resource: str
    path_parameters: Mapping[str, str]
    authorizer: Mapping[str, str] | None = None
    base_path: str = ""
    binary_media_types: tuple[str, ...] = field(default=())

    @property
    def method_arn(self) -> str:
        """What the caller asks to invoke."""
        path = self.http.path.removeprefix(self.base_path).lstrip("/")
        api = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}"
        return f"{api}/{self.stage}/{self.http.method}/{path}"

    @property
    def query_parameters(self) -> list[tuple[str, str]]:
        """The decoded query, in order."""
        return parse_qsl(self.http.query, keep_blank_values=True)


def proxy_event(request: RoutedRequest) -> bytes:
    """Write the event for a function, as JSON."""
    body, is_base64 = _body(request)
    return to_event({**_event(request), "body": body, "isBase64Encoded": is_base64})


def request_authorizer_event(request: RoutedRequest) -> bytes:
    """Write the event for an authorizer of type REQUEST, as JSON."""
    event = {**_event(request), "type": "REQUEST", "methodArn": request.method_arn}
    return to_event(event)


def token_authorizer_event(request: RoutedRequest, token: str) -> bytes:
    """Write the event for an authorizer of type TOKEN, as JSON."""
    event = {"type": "TOKEN", "methodArn": request.method_arn, "authorizationToken": token}
    return to_event(event)


def matches_media_type(media_types: Iterable[str], content_type: str) -> bool:
    """Whether a content type is among those that API Gateway is told to treat as binary."""
    media_type = content_type.partition(";")[0].strip().lower()
    # API Gateway writes a slash in a media type as "~1" in some places.
    return any(fnmatchcase(media_type, t.replace("~1", "/").lower()) for t in media_types)


def _event(request: RoutedRequest) -> dict[str, Any]:
    http = request.http
    headers = (
        *http.headers,
        ("X-Amzn-Trace-Id", http.trace_id),
        ("X-Forwarded-For", http.source_ip),
        ("X-Forwarded-Port", str(http.port)),
        ("X-Forwarded-Proto", "http"),
    )
    query = request.query_parameters
    return {
        "resource": request.resource,
        "path": http.path,
        "httpMethod": http.method,
        "headers": dict(headers),
        "multiValueHeaders": _grouped(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query) or None,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": None,
        "requestContext": _context(request),
    }


def _context(request: RoutedRequest) -> dict[str, Any]:
    http = request.http
    now = datetime.now(UTC)
    authorizer = {} if request.authorizer is None else {"authorizer": dict(request.authorizer)}
    return {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        **authorizer,
        "domainName": http.header("host") or "localhost",
        "domainPrefix": API_ID,
        "extendedRequestId": http.request_id,
        "httpMethod": http.method,
        "identity": {
            "sourceIp": http.source_ip,
            "userAgent": http.header("user-agent"),
        },
        # Without the stage, as behind a custom domain: the local base URL has none.
        "path": http.path,
        "protocol": http.protocol,
        "requestId": http.request_id,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp() * 1000),
        "resourceId": "local",
        "resourcePath": request.resource,
        "stage": request.stage,
    }


def _body(request: RoutedRequest) -> tuple[str | None, bool]:
    if not request.http.body:
        return None, False
    content_type = request.http.header("content-type") or ""
    if matches_media_type(request.binary_media_types, content_type):
        return base64.b64encode(request.http.body).decode(), True
    # API Gateway takes everything else for UTF-8 text, and spoils what is not.
    return request.http.body.decode("utf-8", "replace"), False


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped
