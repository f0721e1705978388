"""API Gateway's own answers are worded by the template."""

import json

from agentrun_local.doors.gateway_answers import (
    access_denied,
    function_failed,
    missing_route,
    unauthorized,
    word,
)
from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.doors.rest_definition import GatewayResponse

REQUEST = HttpRequest("GET", "/x", "", (), "127.0.0.1", "HTTP/1.1", 8000)


def response(status: int | None = None, template: str | None = None) -> GatewayResponse:
    return GatewayResponse(status, {"X-From": "template"}, template)


def test_without_a_template_it_is_the_documented_default() -> None:
    status, headers, body = word(missing_route(), {}, REQUEST)
    assert status == 403
    assert json.loads(body) == {"message": "Missing Authentication Token"}
    assert dict(headers)["x-amzn-errortype"] == "MISSING_AUTHENTICATION_TOKEN"


def test_a_response_type_has_its_own_status_headers_and_words() -> None:
    template = (
        '{"said":$context.error.messageString,"at":"$context.path","id":"$context.requestId"}'
    )
    responses = {"UNAUTHORIZED": response(418, template), "DEFAULT_4XX": response(499)}
    status, headers, body = word(unauthorized(), responses, REQUEST)
    assert (status, dict(headers)["x-from"]) == (418, "template")
    assert json.loads(body) == {"said": "Unauthorized", "at": "/x", "id": REQUEST.request_id}


def test_the_defaults_stand_in_for_types_that_have_none() -> None:
    responses = {
        "DEFAULT_4XX": response(template="four $context.error.responseType"),
        "DEFAULT_5XX": response(503, template="five"),
    }
    assert word(access_denied(explicit=False), responses, REQUEST)[::2] == (
        403,
        b"four ACCESS_DENIED",
    )
    assert word(function_failed(), responses, REQUEST)[::2] == (503, b"five")


def test_an_unknown_variable_is_empty() -> None:
    responses = {"UNAUTHORIZED": response(template="[$context.nothing.of.it]")}
    assert word(unauthorized(), responses, REQUEST)[2] == b"[]"
