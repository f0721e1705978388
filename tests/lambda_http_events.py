"""HTTP events as Lambda delivers them, to be varied by the tests."""

from typing import Any


def function_url_event(
    path: str = "/", method: str = "GET", query: str = "", body: str | None = None
) -> dict[str, Any]:
    """Return a Function URL event (payload 2.0)."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "abc.lambda-url.eu-west-1.on.aws", "x-forwarded-proto": "https"},
        "requestContext": {
            "domainName": "abc.lambda-url.eu-west-1.on.aws",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "r",
            "routeKey": "$default",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    return event if body is None else {**event, "body": body}


def rest_event(path: str = "/a", **fields: Any) -> dict[str, Any]:
    """Return a REST API event (payload 1.0) of the stage `Prod`."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": "GET",
        "headers": None,
        "multiValueHeaders": None,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "stage": "Prod",
            "path": f"/Prod{path}",
            "identity": {"sourceIp": "192.0.2.1"},
            "domainName": "abc.execute-api.eu-west-1.amazonaws.com",
        },
        "body": None,
        "isBase64Encoded": False,
        **fields,
    }
