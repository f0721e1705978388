"""Bearer tokens in requests, and identities between the authorizer and the functions behind it."""

from collections.abc import Mapping, Sequence

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import Principal


def bearer_token(authorization: Sequence[str]) -> str:
    """
    Take the token out of a request's Authorization headers (RFC 6750, section 2.1).

    Raises:
        UnauthenticatedError: None or several headers, another scheme, or no token.
    """
    if len(authorization) != 1:
        raise UnauthenticatedError("not exactly one Authorization header")
    scheme, _, token = authorization[0].strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("not of the form 'Bearer <token>'")
    return token.strip()


def authorizer_context(verified: VerifiedToken) -> dict[str, str]:
    """
    Write an identity as an API Gateway authorizer's context, whose values are flat.

    The token's end goes along: the gateway caches by its own clock, and what is behind it checks.
    No scope or role may have a space in it.
    """
    principal = verified.principal
    return {
        "userId": principal.user_id,
        "orgId": principal.tenant,
        "scope": " ".join(sorted(principal.scopes)),
        "roles": " ".join(sorted(principal.roles)),
        "exp": str(verified.expires_epoch_s),
    }


def verified_by_gateway(context: Mapping[str, object]) -> VerifiedToken:
    """
    Read what `authorizer_context` wrote.

    Raises:
        UnauthenticatedError: The request did not come through the authorizer.
    """
    try:
        return VerifiedToken(
            principal=Principal(
                tenant=str(context["orgId"]),
                user_id=str(context["userId"]),
                scopes=_words(context.get("scope", "")),
                roles=_words(context.get("roles", "")),
            ),
            expires_epoch_s=int(str(context["exp"])),
        )
    except (KeyError, ValueError) as error:
        raise UnauthenticatedError("no identity from the authorizer") from error


def _words(joined: object) -> frozenset[str]:
    return frozenset(str(joined).split(" ")) - {""}
