"""Who is asking, as their verified token says, or a ticket that they were given for one stream."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agentrun.domain.errors import ForbiddenError
from agentrun.domain.value import Value

DEFAULT_TENANT = "default"
ADMIN_ROLE = "admin"
MAX_NAME_CHARACTERS = 256
"""The longest id of a user or an organisation."""
READ_SCOPE = "runs:read"
WRITE_SCOPE = "runs:write"
TOKEN_LEEWAY_S = 60
"""How far the clocks of issuer and verifier may differ."""
TICKET_HOLDS_FOR = timedelta(seconds=60)
"""How long a stream may be opened with a ticket for the first time."""
TICKET_COMES_AGAIN_WITHIN = timedelta(minutes=10)
"""How long after its last use a ticket still serves a reader that has lost its connection."""


class Principal(Value):
    """A verified caller; the tenant is never taken from anything but the token."""

    tenant: str
    user_id: str
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """Whether the caller sees all of the tenant's runs."""
        return ADMIN_ROLE in self.roles

    def may_see(self, owner: str) -> bool:
        """Tell whether the caller sees the runs and sessions of `owner`."""
        return self.is_admin or owner == self.user_id

    def check_may_write(self, *, also: str | None = None) -> None:
        """
        Check that the caller may start, continue and cancel runs; an admin always may.

        Args:
            also: Another scope that is needed, besides `runs:write`: the agent's.

        Raises:
            ForbiddenError: The token lacks a scope.
        """
        for scope in (WRITE_SCOPE, also):
            if scope is not None and scope not in self.scopes and not self.is_admin:
                raise ForbiddenError(f"This needs the scope {scope}.")

    def as_reader(self) -> "Principal":
        """Return the same caller with no right but to read what they may see."""
        return Principal(
            tenant=self.tenant,
            user_id=self.user_id,
            scopes=frozenset({READ_SCOPE}),
            roles=self.roles & {ADMIN_ROLE},
        )

    def acting_for(self, org_id: str | None, user_id: str | None) -> str:
        """
        Return the user in whose name a request acts.

        Args:
            org_id: The organisation that the request names, if any.
            user_id: The user that the request names, if any.

        Raises:
            ForbiddenError: Another tenant, or another user without `runs:impersonate`.
        """
        if org_id is not None and org_id != self.tenant:
            raise ForbiddenError("The token is for another organisation than orgId.")
        if user_id is None or user_id == self.user_id:
            return self.user_id
        if "runs:impersonate" not in self.scopes:
            raise ForbiddenError("Acting for another userId needs the scope runs:impersonate.")
        return user_id


@dataclass(frozen=True)
class StreamTicket:
    """
    What one run's stream can be opened with in a caller's name, where no token can be sent.

    `digest` is the SHA-256 of the secret that the caller was given, in hexadecimal digits: nobody
    keeps the secret itself. `caller` has the rights of `as_reader`.
    """

    digest: str
    caller: Principal
    agent_id: str
    run_id: str
    expires_at: datetime


@dataclass(frozen=True)
class TicketUse:
    """
    A connection that asks for a run's stream with a ticket.

    `connection` tells it from every other connection. `comes_again` says that the reader has seen
    some of the stream already, over a connection that it has lost.
    """

    digest: str
    agent_id: str
    run_id: str
    connection: str
    comes_again: bool = False
