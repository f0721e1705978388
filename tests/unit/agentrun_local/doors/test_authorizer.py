"""The authorizer is asked when API Gateway would ask it, and its answer means the same."""

from dataclasses import replace
from typing import Any

import pytest

from agentrun_local.doors.authorizer import LambdaAuthorizer
from agentrun_local.doors.gateway_answers import GatewayError
from agentrun_local.doors.http_messages import HttpRequest
from agentrun_local.doors.payload_v1 import RoutedRequest
from agentrun_local.doors.rest_definition import Authorizer
from agentrun_local.functions.invocation import FunctionError
from tests.unit.agentrun_local.doors.fake_doors import InProcessFunction

TOKEN = Authorizer("F", "TOKEN", ("method.request.header.Authorization",), 300, None)
pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def request(path: str = "/a", query: str = "", **headers: str) -> RoutedRequest:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    http = HttpRequest("GET", path, query, pairs, "127.0.0.1", "HTTP/1.1", 8000)
    return RoutedRequest(http, "live", path, {})


def answer(resource: str = "*", effect: str = "Allow", **context: Any) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {
        "principalId": "me",
        "policyDocument": {"Statement": [statement]},
        "context": context,
    }


def authorizer(
    function: InProcessFunction, definition: Authorizer = TOKEN, clock: Clock | None = None
) -> LambdaAuthorizer:
    return LambdaAuthorizer(definition, function, log=lambda _: None, clock=clock or Clock())


async def refusal(subject: LambdaAuthorizer, asked: RoutedRequest) -> str:
    with pytest.raises(GatewayError) as error:
        await subject.authorize(asked)
    return error.value.response_type


async def test_the_function_is_told_the_context_as_strings() -> None:
    function = InProcessFunction(lambda _: answer(org="acme", n=1, yes=True, none=None))
    context = await authorizer(function).authorize(request(authorization="t"))
    assert context == {"principalId": "me", "org": "acme", "n": "1", "yes": "true"}
    assert function.events[0]["authorizationToken"] == "t"


async def test_an_answer_is_kept_per_token_and_for_its_time() -> None:
    clock = Clock()
    function = InProcessFunction(lambda _: answer())
    subject = authorizer(function, clock=clock)
    for token, now in (("t", 0), ("t", 299), ("u", 299), ("t", 300), ("u", 598)):
        clock.now = now
        await subject.authorize(request(authorization=token))
    assert [event["authorizationToken"] for event in function.events] == ["t", "u", "t"]


async def test_without_a_time_to_live_every_request_asks() -> None:
    function = InProcessFunction(lambda _: answer())
    subject = authorizer(function, replace(TOKEN, ttl_s=0))
    for _ in range(2):
        await subject.authorize(request(authorization="t"))
    assert len(function.events) == 2


async def test_a_kept_policy_is_evaluated_for_every_path() -> None:
    function = InProcessFunction(lambda _: answer("*/GET/a"))
    subject = authorizer(function)
    await subject.authorize(request("/a", authorization="t"))
    assert await refusal(subject, request("/b", authorization="t")) == "ACCESS_DENIED"
    assert len(function.events) == 1


async def test_a_deny_is_kept_but_unauthorized_is_not() -> None:
    def unauthorized(_: object) -> Any:
        raise FunctionError("Exception", "Unauthorized")

    denying = InProcessFunction(lambda _: answer(effect="Deny"))
    refusing = InProcessFunction(unauthorized)
    for function, expected, asked in ((denying, "ACCESS_DENIED", 1), (refusing, "UNAUTHORIZED", 2)):
        subject = authorizer(function)
        for _ in range(2):
            assert await refusal(subject, request(authorization="t")) == expected
        assert len(function.events) == asked


async def test_without_an_identity_nobody_is_asked() -> None:
    function = InProcessFunction(lambda _: answer())
    subject = authorizer(function, replace(TOKEN, validation="Bearer .+"))
    assert await refusal(subject, request()) == "UNAUTHORIZED"
    assert await refusal(subject, request(authorization="Basic x")) == "UNAUTHORIZED"
    assert function.events == []
    await subject.authorize(request(authorization="Bearer x"))


async def test_a_request_authorizer_needs_all_of_its_sources() -> None:
    sources = ("method.request.header.X-Key", "method.request.querystring.key")
    function = InProcessFunction(lambda _: answer())
    subject = authorizer(function, Authorizer("F", "REQUEST", sources, 300, None))
    assert await refusal(subject, request(x_key="1")) == "UNAUTHORIZED"
    assert await refusal(subject, request(query="key=1")) == "UNAUTHORIZED"
    await subject.authorize(request(query="key=1", x_key="1"))
    await subject.authorize(request(query="key=2", x_key="1"))
    assert [event["type"] for event in function.events] == ["REQUEST", "REQUEST"]


@pytest.mark.parametrize(
    "said",
    [
        None,
        "text",
        {},
        {"principalId": "me"},
        {"policyDocument": answer()["policyDocument"]},
        {"principalId": "me", "policyDocument": "text"},
        answer(nested={"a": 1}),
    ],
)
async def test_an_answer_that_is_no_policy_is_a_misconfiguration(said: Any) -> None:
    subject = authorizer(InProcessFunction(lambda _: said))
    asked = request(authorization="t")
    assert await refusal(subject, asked) == "AUTHORIZER_CONFIGURATION_ERROR"


async def test_any_other_failure_is_an_authorizer_failure() -> None:
    def fail(_: object) -> Any:
        raise FunctionError("ValueError", "something else")

    subject = authorizer(InProcessFunction(fail))
    assert await refusal(subject, request(authorization="t")) == "AUTHORIZER_FAILURE"
