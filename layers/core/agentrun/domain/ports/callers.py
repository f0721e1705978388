"""The port for authentication."""

from typing import Protocol

from agentrun.domain.principal import Principal
from agentrun.domain.value import Value


class VerifiedToken(Value):
    """A caller, and when their token expires in whole seconds since the Unix epoch."""

    principal: Principal
    expires_epoch_s: int


class TokenVerifier(Protocol):
    """Verifies bearer tokens."""

    def verify(self, token: str) -> VerifiedToken:
        """
        Check signature, issuer, audience and times.

        Raises:
            UnauthenticatedError: The token does not verify; retrying is pointless.
            IssuerUnavailableError: The issuer's keys are not available; retrying is safe.
        """
        ...

    def known(self, token: str) -> VerifiedToken | None:
        """Return what `verify` would, if that is known without waiting; None if it is not."""
        ...
