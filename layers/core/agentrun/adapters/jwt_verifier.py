"""Bearer tokens: JWTs of one issuer, verified against its keys."""

from typing import Any

import jwt

from agentrun.adapters.jwks_endpoint import JwksEndpoint
from agentrun.adapters.signing_keys import (
    RemoteSigningKeys,
    SigningKeys,
    StaticSigningKeys,
    UnknownKeyError,
)
from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.model import ID_PATTERN
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import DEFAULT_TENANT, TOKEN_LEEWAY_S, Principal
from agentrun.settings import Settings

MAX_TOKEN_BYTES = 8 * 1024
"""Longer ones are refused unread; API Gateway takes little more in all headers together."""
MAX_USER_CHARACTERS = 256


class JwtVerifier:
    """
    The port `TokenVerifier` for one issuer and one audience.

    Of a token's header only `kid` is used, to choose among the issuer's own keys; `alg` has to be
    the one of that key. `jku`, `jwk`, `x5u` and `x5c` are not looked at (RFC 8725, section 3.10).
    """

    def __init__(
        self, keys: SigningKeys, *, issuer: str, audience: str, org_claim: str = "org_id"
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._org_claim = org_claim

    def verify(self, token: str) -> VerifiedToken:
        """
        Check signature, issuer, audience, `exp` and `nbf` with 60 s of leeway; see the port.

        Raises:
            UnauthenticatedError: Always with the same words, whatever is wrong with the token.
            IssuerUnavailableError: The token is neither good nor bad; retrying is safe.
        """
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise UnauthenticatedError("too long, or not ASCII")
        try:
            claims = self._claims(token)
            principal = self._principal(claims)
        except (jwt.PyJWTError, UnknownKeyError) as error:
            raise UnauthenticatedError(type(error).__name__) from error
        return VerifiedToken(principal=principal, expires_epoch_s=int(claims["exp"]))

    def _claims(self, token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("no kid")
        key = self._keys.key(kid)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._issuer,
            leeway=TOKEN_LEEWAY_S,
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
        if not is_meant_for(self._audience, claims):
            raise jwt.InvalidAudienceError
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        tenant = claims.get(self._org_claim, DEFAULT_TENANT)
        # PyJWT refuses a `sub` that is no string; printable, because lone surrogates are not.
        user_id: str = claims["sub"]
        if not isinstance(tenant, str) or not ID_PATTERN.fullmatch(tenant):
            raise UnauthenticatedError("no such tenant")
        if not 0 < len(user_id) <= MAX_USER_CHARACTERS or not user_id.isprintable():
            raise UnauthenticatedError("no such user")
        return Principal(
            tenant=tenant,
            user_id=user_id,
            scopes=_words(claims.get("scope")),
            roles=_words(claims.get("roles")),
        )


def is_meant_for(audience: str, claims: dict[str, Any]) -> bool:
    """
    Tell whether a token is for this API: `aud` is the audience, or an array with it (RFC 7519).

    Cognito's access tokens have no `aud`, unless they were asked for with a resource, but name the
    app client in `client_id`; then that has to be the audience. They say `token_use` `access`, ID
    tokens say `id`, and AWS wants it looked at (source: "Verifying JSON web tokens" in the Cognito
    developer guide). Without it `client_id` counts for nothing: elsewhere the claim says who holds
    a token, not whom it is for (RFC 9068).
    """
    use = claims.get("token_use")
    if "aud" not in claims:
        return use == "access" and claims.get("client_id") == audience
    named = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    return audience in named and use in (None, "access", "id")


def _words(claim: object) -> frozenset[str]:
    """
    Read a claim that is a string with spaces (RFC 8693) or an array of strings.

    A member of an array with a space in it is left out: no name that counts here has one, and
    taken apart at the gateway "not admin" would become "admin". So is what is not printable.
    """
    words = claim.split(" ") if isinstance(claim, str) else claim
    if not isinstance(words, list):
        return frozenset()
    names = (word for word in words if isinstance(word, str))
    return frozenset(name for name in names if name and " " not in name and name.isprintable())


def verifier_from(settings: Settings) -> JwtVerifier:
    """
    Build the verifier that a deployment asks for; a static JWKS wins over a URL.

    Raises:
        ValueError: The JWKS has no usable key, or the URL is neither https nor on this machine.
    """
    keys: SigningKeys
    if settings.jwks is not None:
        keys = StaticSigningKeys(settings.jwks)
    else:
        keys = RemoteSigningKeys(JwksEndpoint(settings.effective_jwks_url).fetch)
    return JwtVerifier(
        keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        org_claim=settings.org_claim,
    )
