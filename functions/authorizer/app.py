"""The authorizer: a bearer token becomes a policy and an identity."""

from typing import Any

from agentrun.adapters.tokens.verifier import verifier_from
from agentrun.domain.errors import UnauthenticatedError
from agentrun.http.bearer import RefusedTokenError, authorizer_context, bearer_token
from agentrun.settings import Settings
from agentrun.telemetry import log_as_json

settings = Settings.from_environment()
log_as_json(settings.log_causes)
verifier = verifier_from(settings)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """
    Authorize one token for API Gateway.

    Returns:
        A policy for the whole stage, since the gateway caches it for the caller's other paths too,
        and the identity as context.

    Raises:
        RefusedTokenError: With the message "Unauthorized", which the gateway turns into 401
            (source: "Use API Gateway Lambda authorizers" in the API Gateway developer guide).
        IssuerUnavailableError: The issuer's keys cannot be fetched; the gateway answers 5xx, as to
            any other exception, and the next request tries again.
    """
    try:
        verified = verifier.verify(bearer_token([event["authorizationToken"]]))
    except UnauthenticatedError as error:
        raise RefusedTokenError(error.reason) from None
    api_and_stage = "/".join(event["methodArn"].split("/")[:2])
    return {
        "principalId": verified.principal.user_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": f"{api_and_stage}/*",
                }
            ],
        },
        "context": authorizer_context(verified),
    }
