"""
A request as a Function URL hands it to the function: payload format 2.0.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
"""

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.functions.invocation import to_event
from agentrun_local.template.cloudformation import URL_ID

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")


def function_url_event(request: HttpRequest) -> bytes:
    """Write the event, as JSON."""
    body, is_base64 = _body(request)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": _headers(request),
        "requestContext": _context(request),
        "isBase64Encoded": is_base64,
    }
    cookies = [c.strip() for n, v in request.headers if n == "cookie" for c in v.split(";")]
    optional = {
        "cookies": cookies,
        "queryStringParameters": _query(request.query),
        "body": body,
    }
    return to_event({**event, **{k: v for k, v in optional.items() if v}})


def _headers(request: HttpRequest) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in request.headers:
        if name != "cookie":
            joined[name] = f"{joined[name]},{value}" if name in joined else value
    return {
        **joined,
        "x-amzn-trace-id": request.trace_id,
        "x-forwarded-for": request.source_ip,
        "x-forwarded-port": str(request.port),
        "x-forwarded-proto": "http",
    }


def _query(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _context(request: HttpRequest) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "accountId": "anonymous",
        "apiId": URL_ID,
        "domainName": request.header("host") or "localhost",
        "domainPrefix": URL_ID,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent") or "",
        },
        "requestId": request.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }


def _body(request: HttpRequest) -> tuple[str, bool]:
    content_type = (request.header("content-type") or "").lower()
    if content_type.startswith(_TEXT_TYPES) or content_type.partition(";")[0].endswith("+json"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), bool(request.body)
