"""Mangum, which the functions read their events with, sees the request that was sent."""

import base64
import json
from typing import Any

import pytest
from mangum.handlers.api_gateway import APIGateway, HTTPGateway
from mangum.types import LambdaConfig, LambdaContext

from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.doors.payload_v1 import (
    RoutedRequest,
    proxy_event,
    request_authorizer_event,
    token_authorizer_event,
)
from agentrun_local.doors.payload_v2 import function_url_event

MANGUM = LambdaConfig(api_gateway_base_path="/", text_mime_types=[], exclude_headers=[])


class Context:
    """Mangum only passes it on."""

    aws_request_id = "id"


def request(**overrides: Any) -> HttpRequest:
    values: dict[str, Any] = {
        "method": "POST",
        "path": "/api/agents/a%20b/runs",
        "query": "runIds=1&runIds=2%2C3&empty=",
        "headers": (
            ("host", "127.0.0.1:8000"),
            ("content-type", "application/json"),
            ("x-several", "1"),
            ("x-several", "2"),
            ("cookie", "a=b; c=d"),
        ),
        "source_ip": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "port": 8000,
        "body": '{"message": "é \U0001f600"}'.encode(),
    }
    return HttpRequest(**{**values, **overrides})


def routed(**overrides: Any) -> RoutedRequest:
    return RoutedRequest(
        request(**overrides),
        stage="live",
        resource="/api/agents/{agentId}/runs",
        path_parameters={"agentId": "a b"},
        authorizer={"principalId": "me", "orgId": "acme"},
    )


def context() -> LambdaContext:
    made: LambdaContext = Context()  # type: ignore[assignment] # it is passed on, not looked into
    return made


def seen_by_rest(**overrides: Any) -> APIGateway:
    event = json.loads(proxy_event(routed(**overrides)))
    assert APIGateway.infer(event, context(), MANGUM)
    return APIGateway(event, context(), MANGUM)


def seen_by_url(**overrides: Any) -> HTTPGateway:
    event = json.loads(function_url_event(request(**overrides)))
    assert not APIGateway.infer(event, context(), MANGUM)
    assert HTTPGateway.infer(event, context(), MANGUM)
    return HTTPGateway(event, context(), MANGUM)


@pytest.mark.parametrize("seen_by", [seen_by_rest, seen_by_url])
def test_mangum_reads_back_what_was_sent(seen_by: Any) -> None:
    seen = seen_by()
    headers = {k.decode(): v.decode() for k, v in seen.scope["headers"]}
    assert (seen.scope["method"], seen.scope["path"]) == ("POST", "/api/agents/a b/runs")
    assert seen.scope["query_string"] == b"runIds=1&runIds=2%2C3&empty="
    assert seen.scope["client"][0] == "127.0.0.1"
    assert seen.scope["scheme"] == "http"
    assert seen.body == request().body
    assert headers["x-several"].replace(" ", "") == "1,2"
    assert headers["cookie"] == "a=b; c=d"
    assert headers["x-forwarded-for"] == "127.0.0.1"


def test_a_rest_event_tells_what_api_gateway_knows() -> None:
    event = json.loads(proxy_event(routed()))
    assert event["resource"] == "/api/agents/{agentId}/runs"
    assert event["path"] == "/api/agents/a%20b/runs"
    assert event["pathParameters"] == {"agentId": "a b"}
    assert event["queryStringParameters"] == {"runIds": "2,3", "empty": ""}
    assert event["multiValueQueryStringParameters"]["runIds"] == ["1", "2,3"]
    assert event["headers"]["x-several"] == "2"
    assert event["multiValueHeaders"]["x-several"] == ["1", "2"]
    assert event["requestContext"]["authorizer"] == {"principalId": "me", "orgId": "acme"}
    assert event["requestContext"]["stage"] == "live"
    assert event["isBase64Encoded"] is False


def test_bytes_that_are_not_utf_8_are_replaced_by_the_rest_api_alone() -> None:
    assert seen_by_rest(body=b'"\xff"').body == '"\ufffd"'.encode()
    assert seen_by_url(body=b'"\xff"').body == b'"\xff"'


def test_a_rest_event_has_null_for_what_is_not_there() -> None:
    event = json.loads(proxy_event(routed(query="", body=b"")))
    assert event["body"] is None
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None


def test_the_rest_api_takes_every_body_for_text_unless_told() -> None:
    plain = json.loads(proxy_event(routed(body=b"\xff\x00")))
    assert (plain["body"], plain["isBase64Encoded"]) == ("\ufffd\0", False)
    told = RoutedRequest(
        request(body=b"\xff\x00", headers=(("content-type", "image/png; q=1"),)),
        stage="live",
        resource="/",
        path_parameters={},
        binary_media_types=("image~1*",),
    )
    event = json.loads(proxy_event(told))
    assert base64.b64decode(event["body"]) == b"\xff\x00"
    assert event["isBase64Encoded"] is True


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        ("application/json", b"{}", False),
        ("text/plain; charset=utf-8", b"x", False),
        ("application/problem+json", b"{}", False),
        ("application/json", b"\xff", True),
        ("image/png", b"x", True),
        ("application/x-www-form-urlencoded", b"a=b", True),
        ("", b"x", True),
        ("image/png", b"", False),
    ],
)
def test_a_function_url_encodes_what_is_not_text(
    content_type: str, body: bytes, is_base64: bool
) -> None:
    sent = request(headers=(("content-type", content_type),), body=body)
    event = json.loads(function_url_event(sent))
    assert event["isBase64Encoded"] is is_base64
    text = event.get("body", "")
    assert (base64.b64decode(text) if is_base64 else text.encode()) == body


def test_a_function_url_event_has_the_form_of_payload_2() -> None:
    event = json.loads(function_url_event(request()))
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/api/agents/a%20b/runs"
    assert event["rawQueryString"] == "runIds=1&runIds=2%2C3&empty="
    assert event["queryStringParameters"] == {"runIds": "1,2,3", "empty": ""}
    assert event["headers"]["x-several"] == "1,2"
    assert event["cookies"] == ["a=b", "c=d"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "POST"


def test_authorizers_are_asked_about_the_method_arn() -> None:
    arn = "arn:aws:execute-api:eu-west-1:123456789012:localapi/live/POST/api/agents/a%20b/runs"
    assert json.loads(token_authorizer_event(routed(), "Bearer x")) == {
        "type": "TOKEN",
        "methodArn": arn,
        "authorizationToken": "Bearer x",
    }
    event = json.loads(request_authorizer_event(routed()))
    assert (event["type"], event["methodArn"]) == ("REQUEST", arn)
    assert event["pathParameters"] == {"agentId": "a b"}
