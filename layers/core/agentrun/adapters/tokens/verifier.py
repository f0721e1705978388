"""Bearer tokens: JWTs of one issuer, verified against its keys, and whom their claims name."""

import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import jwt
from jwt import PyJWK
from jwt.algorithms import OKPAlgorithm

from agentrun.adapters.tokens.jwks import JwksEndpoint
from agentrun.adapters.tokens.signing_keys import (
    RemoteSigningKeys,
    SigningKeys,
    StaticSigningKeys,
    UnknownKeyError,
)
from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import (
    ADMIN_ROLE,
    DEFAULT_TENANT,
    MAX_NAME_CHARACTERS,
    TOKEN_LEEWAY_S,
    Principal,
)
from agentrun.settings import Settings

Claims = Mapping[str, object]


@dataclass(frozen=True)
class TokenClaims:
    """
    The claims that a deployment reads, each by its name or a path, as `claim_at` finds them.

    Args:
        user: Names the user.
        organisation: Names the tenant; empty: every caller is of the tenant `default`.
        scopes: Hold scopes, all of which count; empty: `scope`, or `scp` where that is absent.
        scope_prefix: Begins every scope that counts, and is taken off.
        default_scopes: What every caller may do, beside what the token says.
        roles: Hold roles, all of which count.
        admin_role: The role that makes an administrator of the tenant.
    """

    user: str = "sub"
    organisation: str = "org_id"
    scopes: tuple[str, ...] = ()
    scope_prefix: str = ""
    default_scopes: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ("roles",)
    admin_role: str = ADMIN_ROLE

    def principal(self, claims: Claims) -> Principal:
        """
        Read the caller from the claims of a token that has been verified.

        Raises:
            UnauthenticatedError: They name no user, or no organisation where one is expected.
        """
        roles = _union(claims, self.roles)
        return Principal(
            tenant=self._tenant(claims),
            user_id=_name(claims, self.user, "user"),
            scopes=self._scopes(claims),
            roles=frozenset({ADMIN_ROLE}) if self.admin_role in roles else frozenset(),
        )

    def _tenant(self, claims: Claims) -> str:
        if not self.organisation:
            return DEFAULT_TENANT
        return _name(claims, self.organisation, "organisation")

    def _scopes(self, claims: Claims) -> frozenset[str]:
        # RFC 8693 says `scope`; Okta and Entra say `scp`.
        paths = self.scopes or ("scope" if claims.get("scope") is not None else "scp",)
        found = _union(claims, paths)
        own = {
            scope.removeprefix(self.scope_prefix)
            for scope in found
            if scope.startswith(self.scope_prefix)
        }
        # A member of an array with a space in it is left out: taken apart at the gateway,
        # "not runs:read" would become "runs:read". So is what is not printable.
        return frozenset(
            scope
            for scope in own | self.default_scopes
            if scope and " " not in scope and scope.isprintable()
        )


def claim_at(claims: object, path: str) -> object:
    """
    Return the claim of this name, or else at this path of names with dots in between.

    Names may have dots themselves (`https://example.com/org`, `resource_access.my.app.roles`): at
    each level the longest name that is there is the one that counts.

    Returns:
        The claim; None where it is absent, as for a claim that is null.
    """
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    name, dot, _ = path.rpartition(".")
    while dot:
        if name in claims:
            return claim_at(claims[name], path[len(name) + 1 :])
        name, dot, _ = name.rpartition(".")
    return None


def _name(claims: Claims, path: str, kind: str) -> str:
    """
    Return the id at this path.

    Raises:
        UnauthenticatedError: It is absent or blank, or no text of at most 256 printable
            characters; lone surrogates and control characters are not printable.
    """
    found = claim_at(claims, path)
    if found is None or (isinstance(found, str) and not found.strip()):
        raise UnauthenticatedError(f"no {kind} in the claim '{path}'")
    if not isinstance(found, str) or len(found) > MAX_NAME_CHARACTERS or not found.isprintable():
        raise UnauthenticatedError(f"what the claim '{path}' holds is no {kind}'s id")
    return found


def _union(claims: Claims, paths: tuple[str, ...]) -> frozenset[str]:
    return frozenset[str]().union(*(_words(claim_at(claims, path)) for path in paths))


def _words(claim: object) -> frozenset[str]:
    """Read a claim that is a string with spaces (RFC 8693) or an array of strings."""
    words = claim.split(" ") if isinstance(claim, str) else claim
    if not isinstance(words, list):
        return frozenset()
    return frozenset(word for word in words if isinstance(word, str))


MAX_TOKEN_BYTES = 8 * 1024
"""Longer ones are refused unread; API Gateway takes little more in all headers together."""
_TOKENS_ALGORITHMS = {"EdDSA": ["EdDSA", "Ed25519"]}
"""By a key's algorithm, where tokens may call it otherwise: RFC 9864, for the one curve here."""
# PyJWT 2.15 knows RFC 8037's name only; a version that knows both refuses to be told again.
with contextlib.suppress(ValueError):
    jwt.register_algorithm("Ed25519", OKPAlgorithm())


MAX_KEPT_TOKENS = 1024
"""Of so many tokens, those used last, one process knows that they are good; each takes 1 KB."""


class _Good(NamedTuple):
    """A token that was verified: with which key, when, and what it says."""

    kid: str
    key: PyJWK
    at_epoch_s: float
    verified: VerifiedToken


class GoodTokens:
    """
    The tokens that have been verified, by their hashes.

    A token is good for as long as a new look at it would find so: until its own expiry, and while
    the issuer's keys hold the very key that verified it. Keys that are fetched anew are new ones,
    so every token is looked at again after ten minutes at most. What was refused is not kept.
    """

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._by_hash: OrderedDict[bytes, _Good] = OrderedDict()
        self._lock = Lock()

    def find(self, token: str) -> VerifiedToken | None:
        """Return what a good token says; None if it has to be looked at."""
        place = _hash_of(token)
        with self._lock:
            good = self._by_hash.get(place)
            if good is None:
                return None
            expires_s = good.verified.expires_epoch_s + TOKEN_LEEWAY_S
            # A clock that was put back may be before the token's `nbf`.
            is_in_time = good.at_epoch_s <= time.time() < expires_s
            if not is_in_time or self._keys.kept(good.kid) is not good.key:
                del self._by_hash[place]
                return None
            self._by_hash.move_to_end(place)
        return good.verified

    def keep(self, token: str, good: _Good) -> None:
        """Keep a token that was verified, for the one that has not been used for longest."""
        with self._lock:
            self._by_hash[_hash_of(token)] = good
            if len(self._by_hash) > MAX_KEPT_TOKENS:
                self._by_hash.popitem(last=False)


def _hash_of(token: str) -> bytes:
    # A header may hold anything, half a surrogate pair too.
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


class JwtVerifier:
    """
    The port `TokenVerifier` for one issuer and one audience.

    Of a token's header only `kid` is used, to choose among the issuer's own keys; `alg` has to be
    the one of that key. `jku`, `jwk`, `x5u` and `x5c` are not looked at (RFC 8725, section 3.10).
    """

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        audience: str,
        audience_claim: str = "aud",
        claims: TokenClaims | None = None,
    ) -> None:
        """
        Bind the verifier to an issuer.

        Args:
            keys: The issuer's keys.
            issuer: The tokens' `iss`, to the letter.
            audience: Whom the tokens are for; see `is_meant_for`.
            audience_claim: Where they say so.
            claims: Where they say whose they are; None: in `sub`, `org_id`, `scope` and `roles`.
        """
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._audience_claim = audience_claim
        self._token_claims = claims or TokenClaims()
        self._good = GoodTokens(keys)

    def known(self, token: str) -> VerifiedToken | None:
        """Return what a token says that was found good and still is."""
        return self._good.find(token)

    def verify(self, token: str) -> VerifiedToken:
        """
        Check signature, issuer, audience, `exp` and `nbf` with 60 s of leeway; see the port.

        Raises:
            UnauthenticatedError: Always with the same words, whatever is wrong with the token.
            IssuerUnavailableError: The token is neither good nor bad; retrying is safe.
        """
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise UnauthenticatedError("too long, or not ASCII")
        if known := self._good.find(token):
            return known
        at = time.time()
        try:
            kid = _kid_of(token)
            key = self._keys.key(kid)
            claims = self._claims(token, key)
            principal = self._token_claims.principal(claims)
        except (jwt.PyJWTError, UnknownKeyError) as error:
            raise UnauthenticatedError(type(error).__name__) from error
        verified = VerifiedToken(principal=principal, expires_epoch_s=int(claims["exp"]))
        self._good.keep(token, _Good(kid, key, at, verified))
        return verified

    def _claims(self, token: str, key: PyJWK) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            # The key itself: with a PyJWK, PyJWT takes the one name that it was made with.
            key.key,
            algorithms=_TOKENS_ALGORITHMS.get(key.algorithm_name, [key.algorithm_name]),
            issuer=self._issuer,
            leeway=TOKEN_LEEWAY_S,
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
        if not is_meant_for(self._audience, claims, claim=self._audience_claim):
            raise jwt.InvalidAudienceError
        return claims


def _kid_of(token: str) -> str:
    kid = jwt.get_unverified_header(token).get("kid")
    if not isinstance(kid, str):
        raise jwt.InvalidTokenError("no kid")
    return kid


def is_meant_for(audience: str, claims: dict[str, Any], *, claim: str = "aud") -> bool:
    """
    Tell whether a token is for this API: `aud` is the audience, or an array with it (RFC 7519).

    Another claim can be named in its place, for issuers whose tokens have no `aud`: Clerk's say in
    `azp` which web origin they were made for.

    Cognito's access tokens have no `aud`, unless they were asked for with a resource, but name the
    app client in `client_id`; then that has to be the audience. They say `token_use` `access`, ID
    tokens say `id`, and AWS wants it looked at (source: "Verifying JSON web tokens" in the Cognito
    developer guide). Without it `client_id` counts for nothing: elsewhere the claim says who holds
    a token, not whom it is for (RFC 9068).
    """
    use = claims.get("token_use")
    if claim == "aud" and "aud" not in claims:
        return use == "access" and claims.get("client_id") == audience
    found = claim_at(claims, claim)
    named = found if isinstance(found, list) else [found]
    return audience in named and use in (None, "access", "id")


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
        audience_claim=settings.audience_claim,
        claims=TokenClaims(
            user=settings.user_claim,
            organisation=settings.org_claim,
            scopes=settings.scope_claims,
            scope_prefix=settings.scope_prefix,
            default_scopes=frozenset(settings.default_scopes),
            roles=settings.role_claims,
            admin_role=settings.admin_role,
        ),
    )
