"""Authenticates a request before anything else of it is read."""

import logging
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import Clock, TokenVerifier
from agentrun.domain.principal import TOKEN_LEEWAY_S, Principal
from agentrun.http.bearer import bearer_token, verified_by_gateway

Authentication = Callable[[Request], Awaitable[Principal]]

log = logging.getLogger(__name__)


def by_bearer_token(verifier: TokenVerifier) -> Authentication:
    """Authenticate by the request's own token, for a function that has its own URL."""

    async def authenticate(request: Request) -> Principal:
        try:
            token = bearer_token(request.headers.getlist("authorization"))
            verified = verifier.known(token)
            if verified is None:
                # In a thread: it may have to fetch the issuer's keys.
                verified = await run_in_threadpool(verifier.verify, token)
        except UnauthenticatedError as error:
            log.info("token refused", extra={"reason": error.reason})
            raise
        return verified.principal

    return authenticate


def by_gateway(clock: Clock) -> Authentication:
    """
    Authenticate by what API Gateway's authorizer said, until the token expires.

    The gateway caches the authorizer's decision for up to 300 s, whatever the token's `exp`.
    """

    # No plain function: FastAPI would call it in a thread.
    async def authenticate(request: Request) -> Principal:
        # Which of several headers the authorizer saw is unknown. Mangum joins them with a comma,
        # which no token contains.
        if "," in ",".join(request.headers.getlist("authorization")):
            raise UnauthenticatedError("several Authorization headers")
        event = request.scope.get("aws.event", {})
        verified = verified_by_gateway(event.get("requestContext", {}).get("authorizer") or {})
        if clock.now().timestamp() > verified.expires_epoch_s + TOKEN_LEEWAY_S:
            raise UnauthenticatedError("expired since the authorizer saw it")
        return verified.principal

    return authenticate
