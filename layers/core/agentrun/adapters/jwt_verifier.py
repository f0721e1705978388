"""Bearer tokens: JWTs of one issuer, verified against its JWKS."""

from typing import Any, Protocol

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKSet

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.model import ID_PATTERN
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import DEFAULT_TENANT, TOKEN_LEEWAY_S, Principal
from agentrun.settings import Settings

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Asymmetric ones only: with HS256 the public key would be the secret (RFC 8725, section 3.1)."""
MAX_TOKEN_BYTES = 8 * 1024
MAX_USER_CHARACTERS = 256
_REFUSAL = "The bearer token is not valid."


class SigningKeys(Protocol):
    """Finds the key that a token says it was signed with."""

    def key(self, kid: str) -> PyJWK:
        """
        Give the key of this id.

        Raises:
            jwt.PyJWTError: There is none, or the issuer cannot be asked.
        """
        ...


class StaticSigningKeys:
    """Keys that were handed over as a JWKS document."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = PyJWKSet.from_dict(jwks)

    def key(self, kid: str) -> PyJWK:
        """Give the key of this id."""
        try:
            return self._keys[kid]
        except KeyError as error:
            raise jwt.PyJWKSetError("no such key") from error


class RemoteSigningKeys:
    """Keys that the issuer publishes; fetched once, again when old or when a key is unknown."""

    def __init__(self, url: str, *, timeout_s: float = 2, lifespan_s: int = 600) -> None:
        self._client = PyJWKClient(url, timeout=timeout_s, lifespan=lifespan_s)

    def key(self, kid: str) -> PyJWK:
        """Give the key of this id."""
        return self._client.get_signing_key(kid)


class JwtVerifier:
    """The port `TokenVerifier` for one issuer and one audience."""

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
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError(_REFUSAL)
        try:
            claims = self._claims(token)
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(_REFUSAL) from error
        principal = self._principal(claims)
        return VerifiedToken(principal=principal, expires_epoch_s=int(claims["exp"]))

    def _claims(self, token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("no kid")
        return jwt.decode(
            token,
            self._keys.key(kid),
            algorithms=list(ALGORITHMS),
            audience=self._audience,
            issuer=self._issuer,
            leeway=TOKEN_LEEWAY_S,
            options={"require": ["exp", "sub"]},
        )

    def _principal(self, claims: dict[str, Any]) -> Principal:
        tenant = claims.get(self._org_claim, DEFAULT_TENANT)
        user_id = claims["sub"]
        if not isinstance(tenant, str) or not ID_PATTERN.fullmatch(tenant):
            raise UnauthenticatedError(_REFUSAL)
        if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_USER_CHARACTERS:
            raise UnauthenticatedError(_REFUSAL)
        return Principal(
            tenant=tenant,
            user_id=user_id,
            scopes=_words(claims.get("scope")),
            roles=_words(claims.get("roles")),
        )


def _words(claim: object) -> frozenset[str]:
    """Read a claim that is a space-separated string (RFC 8693) or a list of strings."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(word for word in claim if isinstance(word, str))
    return frozenset()


def verifier_from(settings: Settings) -> JwtVerifier:
    """Build the verifier that a deployment asks for; a static JWKS wins over a URL."""
    keys: SigningKeys
    if settings.jwks is not None:
        keys = StaticSigningKeys(settings.jwks)
    else:
        keys = RemoteSigningKeys(settings.effective_jwks_url)
    return JwtVerifier(
        keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        org_claim=settings.org_claim,
    )
