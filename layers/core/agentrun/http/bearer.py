"""Bearer tokens, and what the authorizer says of them: a refusal, or an identity."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import Principal

if TYPE_CHECKING:
    _Foreseen = Exception
else:
    try:
        # Part of AWS's runtime, which is there wherever it runs a handler; no layer has it.
        from awslambdaric.lambda_runtime_exception import FaultException as _Foreseen
    except ImportError:
        _Foreseen = Exception


def bearer_token(authorization: Sequence[str]) -> str:
    """
    Return the token in a request's Authorization headers (RFC 6750, section 2.1).

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

    It includes the token's expiry: the gateway caches by its own clock, so the functions behind it
    check again. No scope or role may contain a space.
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


class RefusedTokenError(_Foreseen):
    """
    The token is not valid; API Gateway turns the message into a 401, and knows no other way to it.

    AWS's runtime logs a `FaultException` on one line, and any other exception with a stack trace,
    as if the function were at fault (awslambdaric 4.2, `bootstrap.py`). That line is the only log
    of a refusal: its `errorType` says why, since the gateway needs the message.
    """

    def __init__(self, reason: str) -> None:
        # Not super()'s, which would leave the message out of str().
        Exception.__init__(self, "Unauthorized")
        self.msg = "Unauthorized"
        self.exception_type = f"token refused: {reason}"
        self.trace = None
