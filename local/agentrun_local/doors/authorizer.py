"""
A Lambda authorizer in front of the REST API: called once per token, then cached.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from agentrun_local.doors.gateway_answers import (
    access_denied,
    authorizer_failed,
    authorizer_misconfigured,
    unauthorized,
)
from agentrun_local.doors.payload_v1 import (
    RoutedRequest,
    request_authorizer_event,
    token_authorizer_event,
)
from agentrun_local.doors.policy import Decision, InvalidPolicyError, evaluate
from agentrun_local.doors.rest_definition import Authorizer
from agentrun_local.functions.invocation import FunctionError, Invoker


@dataclass(frozen=True)
class _Verdict:
    policy: Any
    context: Mapping[str, str]


class LambdaAuthorizer:
    """Asks the authorizer function, and remembers what it said about an identity."""

    def __init__(
        self,
        definition: Authorizer,
        pool: Invoker,
        *,
        log: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._definition = definition
        self._pool = pool
        self._log = log
        self._clock = clock
        self._cache: dict[tuple[str, ...], tuple[float, _Verdict]] = {}

    async def authorize(self, request: RoutedRequest) -> Mapping[str, str]:
        """
        Let the request through, with what the function is told about the caller, or refuse it.

        A cached policy is evaluated anew for each request: it may allow one path and not another.

        Raises:
            GatewayError: 401, 403, or 500 when the authorizer itself is at fault.
        """
        identity = self._identity(request)
        verdict = self._cached(identity)
        if verdict is None:
            verdict = await self._ask(request, identity)
            self._cache[identity] = (self._clock() + self._definition.ttl_s, verdict)
        try:
            decision = evaluate(verdict.policy, request.method_arn)
        except InvalidPolicyError as error:
            self._log(f"The authorizer's policy is not valid: {error}")
            raise authorizer_misconfigured() from error
        if decision is not Decision.ALLOW:
            raise access_denied(explicit=decision is Decision.EXPLICIT_DENY)
        return verdict.context

    def _cached(self, identity: tuple[str, ...]) -> _Verdict | None:
        now = self._clock()
        self._cache = {key: entry for key, entry in self._cache.items() if entry[0] > now}
        entry = self._cache.get(identity)
        return entry[1] if entry else None

    def _identity(self, request: RoutedRequest) -> tuple[str, ...]:
        values = [_identity_value(source, request) for source in self._definition.identity_sources]
        present = tuple(value for value in values if value)
        if len(present) < len(values):
            raise unauthorized()
        validation = self._definition.validation
        if validation and not re.fullmatch(validation, present[0]):
            raise unauthorized()
        return present

    async def _ask(self, request: RoutedRequest, identity: tuple[str, ...]) -> _Verdict:
        if self._definition.kind == "TOKEN":
            event = token_authorizer_event(request, identity[0])
        else:
            event = request_authorizer_event(request)
        invocation = self._pool.invoke(event, trace_id=request.http.trace_id)
        try:
            answer = json.loads(await invocation.payload())
            return _Verdict(answer["policyDocument"], _context(answer))
        except FunctionError as error:
            # The one message that API Gateway knows.
            if error.message == "Unauthorized":
                raise unauthorized() from error
            raise authorizer_failed() from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._log(
                f"The authorizer's answer has no policy, or a context that is not flat: {error}"
            )
            raise authorizer_misconfigured() from error


def _identity_value(source: str, request: RoutedRequest) -> str | None:
    kind, _, name = source.removeprefix("method.request.").partition(".")
    if kind == "header":
        return request.http.header(name)
    if kind == "querystring":
        return dict(request.query_parameters).get(name)
    return None


def _context(answer: dict[str, Any]) -> dict[str, str]:
    context = answer.get("context") or {}
    if any(isinstance(value, dict | list) for value in context.values()):
        raise ValueError("nested context")
    # Whatever the authorizer says arrives as strings.
    texts = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in context.items()
        if value is not None
    }
    return {**texts, "principalId": answer["principalId"]}
