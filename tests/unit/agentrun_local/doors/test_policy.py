"""IAM policies decide as IAM says they do."""

from typing import Any

import pytest

from agentrun_local.doors.policy import Decision, InvalidPolicyError, evaluate

ARN = "arn:aws:execute-api:eu-west-1:123456789012:localapi/live/GET/api/agents"


def statement(effect: str = "Allow", **overrides: Any) -> dict[str, Any]:
    return {"Action": "execute-api:Invoke", "Effect": effect, "Resource": "*", **overrides}


@pytest.mark.parametrize(
    "resource",
    ["*", ARN, "arn:aws:execute-api:*/live/*", "arn:*/GET/api/agent?", ["nothing", ARN]],
)
def test_an_allow_that_matches_allows(resource: Any) -> None:
    policy = {"Statement": [statement(Resource=resource)]}
    assert evaluate(policy, ARN) is Decision.ALLOW


@pytest.mark.parametrize(
    "resource", ["arn:aws:execute-api:*/test/*", ARN.upper(), f"{ARN}/x", ARN[:-1], "a[r]n*", []]
)
def test_what_no_statement_allows_is_denied(resource: Any) -> None:
    policy = {"Statement": [statement(Resource=resource)]}
    assert evaluate(policy, ARN) is Decision.IMPLICIT_DENY


def test_a_deny_wins_wherever_it_stands() -> None:
    for statements in ([statement("Deny"), statement()], [statement(), statement("Deny")]):
        assert evaluate({"Statement": statements}, ARN) is Decision.EXPLICIT_DENY


def test_a_deny_of_something_else_denies_nothing() -> None:
    statements = [statement(), statement("Deny", Resource="*/POST/*")]
    assert evaluate({"Statement": statements}, ARN) is Decision.ALLOW


@pytest.mark.parametrize("action", ["*", "execute-api:*", "EXECUTE-API:invoke", ["x", "*"]])
def test_actions_match_without_regard_to_case(action: Any) -> None:
    assert evaluate({"Statement": statement(Action=action)}, ARN) is Decision.ALLOW


def test_another_action_does_not_count() -> None:
    policy = {"Statement": statement(Action="execute-api:ManageConnections")}
    assert evaluate(policy, ARN) is Decision.IMPLICIT_DENY


@pytest.mark.parametrize(
    "policy",
    [
        None,
        {},
        {"Statement": ["x"]},
        {"Statement": {"Effect": "Maybe", "Action": "*", "Resource": "*"}},
        {"Statement": {"Effect": "Allow", "Action": "*"}},
        {"Statement": statement(Condition={"StringEquals": {"a": "b"}})},
        {"Statement": statement(NotAction="x")},
    ],
)
def test_what_cannot_be_evaluated_is_an_error_and_never_an_allow(policy: Any) -> None:
    with pytest.raises(InvalidPolicyError):
        evaluate(policy, ARN)
