"""The issuer of tokens: whether its keys can be fetched and used as the functions do it."""

import json
from urllib.error import HTTPError

from agentrun.adapters.tokens.jwks import JwksEndpoint, JwksUnavailableError, verification_keys
from agentrun.settings import Settings
from agentrun_local.doctor.deployment import Deployment
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem

_TIMEOUT_S = 5.0
_KEYS, _NAME = "issuer's keys", "issuer's name"
_USABLE = "RS256 with 2048 bits or more, ES256 or Ed25519, each with a kid"


def check_issuer(deployment: Deployment, *, is_online: bool) -> list[Finding]:
    """
    Fetch the issuer's keys and its discovery document.

    Args:
        deployment: Has the issuer's parameters.
        is_online: Whether anything else could be reached; if not, the issuer is not to blame.
    """
    issuer, url, jwks = (deployment.value(name) for name in ("Issuer", "JwksUrl", "Jwks"))
    if not issuer:
        return [
            not_looked_at(_KEYS, "Issuer has no value yet", "Give it: --parameter Issuer=https://…")
        ]
    if jwks:
        return [_of_jwks(jwks)]
    settings = Settings(jwt_issuer=issuer, jwks_url=url)
    name, keys_at = _discovered(issuer)
    keys = _fetched(settings.effective_jwks_url, keys_at, is_online=is_online)
    return [finding for finding in (name, keys) if finding is not None]


def _of_jwks(text: str) -> Finding:
    try:
        keys = verification_keys(json.loads(text))
    except ValueError:
        return problem(_KEYS, "the parameter Jwks is not JWKS JSON", "See docs/deploy.md, Issuers.")
    return _of_keys(len(keys), "the parameter Jwks")


def _of_keys(count: int, place: str) -> Finding:
    if not count:
        return problem(
            _KEYS, f"{place} has no key that may verify a token", f"Publish one: {_USABLE}."
        )
    return ok(_KEYS, f"{place} has {count} that may verify tokens")


def _discovered(issuer: str) -> tuple[Finding | None, str]:
    """Return a finding on the issuer's name, and where discovery says that the keys are."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        found = JwksEndpoint(url).document(_TIMEOUT_S)
    except (JwksUnavailableError, ValueError):
        # An issuer need not have one; then only its keys are checked.
        return None, ""
    if not isinstance(found, dict) or not isinstance(found.get("issuer"), str):
        return None, ""
    keys_at = found.get("jwks_uri")
    keys_at = keys_at if isinstance(keys_at, str) else ""
    if found["issuer"] != issuer:
        return (
            problem(
                _NAME,
                f"it calls itself {found['issuer']}, and Issuer is {issuer}: no token would fit",
                f"Deploy with Issuer={found['issuer']} if its tokens say that, to the letter.",
            ),
            keys_at,
        )
    return ok(_NAME, f"{issuer}, as its discovery document has it"), keys_at


def _fetched(url: str, keys_at: str, *, is_online: bool) -> Finding:
    try:
        return _of_keys(len(JwksEndpoint(url).fetch(_TIMEOUT_S)), url)
    except ValueError as error:
        return problem(_KEYS, str(error), "Give JwksUrl as an https URL.")
    except JwksUnavailableError as error:
        said = f"{url}: {error}"
        if keys_at and keys_at != url:
            return problem(_KEYS, said, f"Deploy with JwksUrl={keys_at}, as discovery says.")
        answered = isinstance(error.__cause__, HTTPError | ValueError)
        if answered or is_online:
            return problem(
                _KEYS, said, "See whether Issuer or JwksUrl is spelt right; Lambda fetches it too."
            )
        return not_looked_at(_KEYS, said, "Is there a network here? Lambda needs to reach it too.")
