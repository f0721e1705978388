"""Allows `allow…`, denies `deny…`, knows nobody else; writes down every question."""

from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer API Gateway's question."""
    token = event["authorizationToken"]
    with (Path(__file__).parent / "questions.txt").open("a") as questions:
        questions.write(f"{token}\n")
    if not token.startswith(("allow", "deny")):
        raise Exception("Unauthorized")
    effect = "Allow" if token.startswith("allow") else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": "*"}
    return {"principalId": "someone", "policyDocument": {"Statement": [statement]}}
