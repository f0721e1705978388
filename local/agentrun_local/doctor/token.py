"""A token of the issuer in use: whether the deployment would take it, and for whom."""

import os

from agentrun.adapters.tokens.verifier import verifier_from
from agentrun.domain.errors import UnauthenticatedError
from agentrun.settings import Settings
from agentrun_local.doctor.deployment import Deployment
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem, warning
from agentrun_local.errors import TemplateError
from agentrun_local.template.cloudformation import load_resources

TOKEN_VARIABLE = "AGENTRUN_TOKEN"  # noqa: S105 - the name of a variable
_CHECK = "a token"
_VERIFIER = "AuthorizerFunction"
_SCOPES = frozenset({"runs:read", "runs:write"})


def check_token(deployment: Deployment) -> Finding:
    """Verify the token in `AGENTRUN_TOKEN` as the authorizer would."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        return not_looked_at(
            _CHECK,
            f"there is none in {TOKEN_VARIABLE}",
            f"Set {TOKEN_VARIABLE} to a token of your issuer, and call this again.",
        )
    if deployment.missing:
        return not_looked_at(_CHECK, f"no value yet for {', '.join(deployment.missing)}")
    try:
        principal = verifier_from(_settings(deployment)).verify(token).principal
    except (TemplateError, ValueError) as error:
        return not_looked_at(_CHECK, f"the issuer is not set up: {error}")
    except UnauthenticatedError as error:
        return problem(_CHECK, f"it is refused: {error.reason}", "See docs/deploy.md, Issuers.")
    whom = f"user '{principal.user_id}' of '{principal.tenant}'"
    if missing := sorted(_SCOPES - principal.scopes):
        return warning(
            _CHECK,
            f"it is taken, for {whom}, without {' and '.join(missing)}",
            "Have the issuer grant them, or set ScopeClaims, ScopePrefix or DefaultScopes.",
        )
    return ok(_CHECK, f"it is taken, for {whom}")


def _settings(deployment: Deployment) -> Settings:
    """Read what the authorizer would read from its environment."""
    resources = load_resources(deployment.template, deployment.given)
    properties = resources[_VERIFIER].properties
    return Settings.from_environment(properties["Environment"]["Variables"])
