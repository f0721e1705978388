"""The port for who is calling."""

from typing import Protocol

from agentrun.domain.principal import Principal
from agentrun.domain.value import Value


class VerifiedToken(Value):
    """A caller and the end of their token's life, in whole seconds since the Unix epoch."""

    principal: Principal
    expires_epoch_s: int


class TokenVerifier(Protocol):
    """Turns a bearer token into the caller that it vouches for."""

    def verify(self, token: str) -> VerifiedToken:
        """
        Check signature, issuer, audience and times.

        Raises:
            UnauthenticatedError: The token does not verify; asking again with it is pointless.
            IssuerUnavailableError: The issuer's keys cannot be had; retrying is safe.
        """
        ...
