"""
IAM policies as a Lambda authorizer returns them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from enum import Enum
from typing import Any

ACTION = "execute-api:Invoke"


class Decision(Enum):
    """What a policy says about a request."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


class InvalidPolicyError(Exception):
    """The document is not a policy, or uses what is not evaluated here: `Condition`, `Not…`."""


def evaluate(document: Any, method_arn: str) -> Decision:
    """
    Decide whether the policy lets the request through; a Deny wins over any Allow.

    Raises:
        InvalidPolicyError: The policy cannot be evaluated.
    """
    if not isinstance(document, dict) or "Statement" not in document:
        raise InvalidPolicyError("The policy document has no Statement.")
    effects = {
        statement["Effect"]
        for statement in _listed(document["Statement"])
        if _applies(statement, method_arn)
    }
    if "Deny" in effects:
        return Decision.EXPLICIT_DENY
    return Decision.ALLOW if "Allow" in effects else Decision.IMPLICIT_DENY


def _applies(statement: Any, method_arn: str) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") not in {"Allow", "Deny"}:
        raise InvalidPolicyError("A statement has no Effect of Allow or Deny.")
    known = {"Action", "Effect", "Resource", "Sid"}
    if unknown := set(statement) - known:
        raise InvalidPolicyError(f"The local stack does not evaluate {', '.join(sorted(unknown))}.")
    if "Action" not in statement or "Resource" not in statement:
        raise InvalidPolicyError("A statement has no Action or no Resource.")
    # Actions are compared without regard to case, resources with it.
    return any(
        _matches(action.lower(), ACTION.lower()) for action in _listed(statement["Action"])
    ) and any(_matches(resource, method_arn) for resource in _listed(statement["Resource"]))


def _matches(pattern: str, value: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
