"""Lambda's context object, from the headers of an invocation."""

import time

import pytest

from lambda_asgi.context import context_from_headers

HEADERS = {
    "lambda-runtime-aws-request-id": "r1",
    "lambda-runtime-deadline-ms": "1",
    "lambda-runtime-invoked-function-arn": "arn",
    "lambda-runtime-trace-id": "Root=1",
    "lambda-runtime-aws-tenant-id": "t1",
    "lambda-runtime-client-context": '{"custom": {"a": 1}, "client": {"app_title": "x"}}',
    "lambda-runtime-cognito-identity": '{"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}',
}


def test_every_header_is_an_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "stream")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    context = context_from_headers(HEADERS)
    assert (context.aws_request_id, context.invoked_function_arn) == ("r1", "arn")
    assert (context.trace_id, context.tenant_id) == ("Root=1", "t1")
    assert context.client_context is not None
    assert context.client_context.custom == {"a": 1}
    assert context.client_context.client.app_title == "x"
    assert context.identity.cognito_identity_pool_id == "p"
    assert (context.function_name, context.memory_limit_in_mb) == ("stream", "512")


def test_optional_headers_may_be_absent() -> None:
    context = context_from_headers({"lambda-runtime-aws-request-id": "r1"})
    assert (context.deadline_ms, context.client_context, context.trace_id) == (0, None, None)
    assert context.identity.cognito_identity_id is None


def test_the_remaining_time_counts_down_to_zero() -> None:
    future = {**HEADERS, "lambda-runtime-deadline-ms": str(int(time.time() * 1000) + 60_000)}
    assert 59_000 < context_from_headers(future).get_remaining_time_in_millis() <= 60_000
    assert context_from_headers(HEADERS).get_remaining_time_in_millis() == 0


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, KeyError),
        ({**HEADERS, "lambda-runtime-deadline-ms": "soon"}, ValueError),
        ({**HEADERS, "lambda-runtime-client-context": "{"}, ValueError),
    ],
)
def test_malformed_headers_are_refused(headers: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        context_from_headers(headers)
