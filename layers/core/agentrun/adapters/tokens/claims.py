"""Where a token says who its caller is, and what of it counts."""

from collections.abc import Mapping
from dataclasses import dataclass

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.principal import (
    ADMIN_ROLE,
    DEFAULT_TENANT,
    MAX_NAME_CHARACTERS,
    Principal,
)

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
