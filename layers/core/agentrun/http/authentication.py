"""Says who is asking, before anything else of a request is read."""

from collections.abc import Callable

from starlette.requests import Request

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import Clock, TokenVerifier
from agentrun.domain.principal import TOKEN_LEEWAY_S, Principal
from agentrun.http.bearer import bearer_token, verified_by_gateway

Authentication = Callable[[Request], Principal]


def by_bearer_token(verifier: TokenVerifier) -> Authentication:
    """Trust nothing but the request's own token: for a function that has its own URL."""

    def authenticate(request: Request) -> Principal:
        token = bearer_token(request.headers.getlist("authorization"))
        return verifier.verify(token).principal

    return authenticate


def by_gateway(clock: Clock) -> Authentication:
    """Trust API Gateway's authorizer, but not beyond the token's life: the gateway caches."""

    def authenticate(request: Request) -> Principal:
        event = request.scope.get("aws.event", {})
        verified = verified_by_gateway(event.get("requestContext", {}).get("authorizer") or {})
        if clock.now().timestamp() > verified.expires_epoch_s + TOKEN_LEEWAY_S:
            raise UnauthenticatedError("The bearer token has expired.")
        return verified.principal

    return authenticate
