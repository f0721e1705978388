"""An invocation's context: Lambda's context object and the context variables."""

import json
import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Request id of the current task's invocation."""

trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""X-Ray tracing header of the same; unlike `_X_AMZN_TRACE_ID`, correct under concurrency."""


@dataclass(frozen=True)
class LambdaContext:
    """
    The context object of one invocation, with the managed runtime's attributes.

    `deadline_ms` is Unix epoch milliseconds, or 0 if the Runtime API gave none; `trace_id` is the
    X-Ray tracing header. Only AWS mobile SDKs set `client_context` and `identity`.
    """

    aws_request_id: str
    deadline_ms: int
    invoked_function_arn: str | None
    trace_id: str | None
    tenant_id: str | None
    client_context: SimpleNamespace | None
    identity: SimpleNamespace
    function_name: str | None
    function_version: str | None
    memory_limit_in_mb: str | None
    log_group_name: str | None
    log_stream_name: str | None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before Lambda ends the invocation, never below 0."""
        return max(0, self.deadline_ms - int(time.time() * 1000))


def context_from_headers(headers: Mapping[str, str]) -> LambdaContext:
    """
    Build the context from the headers of an answer to `/invocation/next`.

    Args:
        headers: By lower-case name.

    Raises:
        KeyError: The request id is missing, without which no reply is possible.
        ValueError: The deadline or one of the JSON headers is malformed.
    """
    identity = json.loads(headers.get("lambda-runtime-cognito-identity") or "{}")
    return LambdaContext(
        aws_request_id=headers["lambda-runtime-aws-request-id"],
        deadline_ms=int(headers.get("lambda-runtime-deadline-ms") or 0),
        invoked_function_arn=headers.get("lambda-runtime-invoked-function-arn"),
        trace_id=headers.get("lambda-runtime-trace-id"),
        tenant_id=headers.get("lambda-runtime-aws-tenant-id"),
        client_context=_client_context(headers.get("lambda-runtime-client-context")),
        identity=SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        ),
        function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME"),
        function_version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION"),
        memory_limit_in_mb=os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        log_group_name=os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
        log_stream_name=os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
    )


def _client_context(header: str | None) -> SimpleNamespace | None:
    if not header:
        return None
    fields = json.loads(header)
    return SimpleNamespace(
        custom=fields.get("custom"),
        env=fields.get("env"),
        client=SimpleNamespace(**(fields.get("client") or {})),
    )
