"""Tickets for streams: issue one to a caller who may read a run, and open its stream with it."""

import asyncio
import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType

from agentrun.domain.errors import StoreUnavailableError, UnauthenticatedError
from agentrun.domain.ports import StreamTickets
from agentrun.domain.principal import TICKET_HOLDS_FOR, Principal, StreamTicket, TicketUse
from agentrun.domain.value import ID_PATTERN, to_milliseconds
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.runs import visible_state

SECRET_BYTES = 32
SECRET_CHARACTERS = 43
"""Of a secret in base64url without padding (RFC 4648, section 5), whose alphabet is that of ids."""
RENEWED_EVERY = timedelta(minutes=3)
"""Two renewals in a row may fail, and the next one is still in time."""


@dataclass(frozen=True)
class IssuedTicket:
    """A ticket as its caller gets it, once: the secret is stored nowhere."""

    secret: str = field(repr=False)
    agent_id: str
    run_id: str
    expires_at: datetime


def issue_ticket(
    principal: Principal, agent_id: str, run_id: str, *, tickets: StreamTickets, ports: RunPorts
) -> IssuedTicket:
    """
    Issue a ticket for the stream of a run; it blocks.

    Raises:
        ForbiddenError: The token lacks the scope.
        RunNotFoundError: There is none, or the caller may not see it; both look the same.
        StoreUnavailableError: Retrying is safe.
    """
    run = visible_state(principal, agent_id, run_id, ports)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    ticket = StreamTicket(
        digest=_digest(secret),
        caller=principal.as_reader(),
        agent_id=run.agent_id,
        run_id=run.id,
        expires_at=to_milliseconds(ports.clock.now() + TICKET_HOLDS_FOR),
    )
    tickets.put(ticket)
    return IssuedTicket(secret, ticket.agent_id, ticket.run_id, ticket.expires_at)


class TicketInUse:
    """
    A ticket that has been redeemed by a connection; while the context lasts, it is being used.

    Its last use is renewed every few minutes, and once at the end. The stream does not depend on
    that: if the store is not available, the reader has less time to come again.
    """

    def __init__(
        self,
        caller: Principal,
        use: TicketUse,
        *,
        tickets: StreamTickets,
        ports: RunPorts,
        renewed_every: timedelta = RENEWED_EVERY,
    ) -> None:
        self.caller = caller
        self._use = use
        self._tickets = tickets
        self._ports = ports
        self._renewed_every = renewed_every
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        """Begin to renew the last use."""
        self._renewing = asyncio.create_task(self._keep_renewed())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Renew it for the last time."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        await self._renew()

    async def _keep_renewed(self) -> None:
        is_ours = True
        while is_ours:
            await asyncio.sleep(self._renewed_every.total_seconds())
            is_ours = await self._renew()

    async def _renew(self) -> bool:
        """Renew the last use; return whether no other connection has taken over."""
        with suppress(StoreUnavailableError):
            renew, now = self._tickets.renew, self._ports.clock.now()
            return await in_thread(self._ports.threads, renew, self._use, at=now)
        return True


async def redeem_ticket(
    secret: str,
    agent_id: str,
    run_id: str,
    *,
    comes_again: bool,
    tickets: StreamTickets,
    ports: RunPorts,
) -> TicketInUse:
    """
    Open the stream of a run with a ticket; whether the run is there has yet to be seen.

    Args:
        secret: What came with the request, whatever it is.
        agent_id: The agent in the request's path.
        run_id: The run in the request's path.
        comes_again: Whether the reader has lost a connection on which it had seen some events.
        tickets: Where tickets are kept.
        ports: The threads and the time.

    Raises:
        UnauthenticatedError: The ticket does not hold; nothing tells why.
        StoreUnavailableError: The ticket may be used up now, unless the reader comes again.
    """
    # What cannot be right is not worth a write.
    if len(secret) != SECRET_CHARACTERS or not ID_PATTERN.fullmatch(secret):
        raise UnauthenticatedError("not of the form of a ticket")
    if not (ID_PATTERN.fullmatch(agent_id) and ID_PATTERN.fullmatch(run_id)):
        raise UnauthenticatedError("no such ids of an agent and a run")
    connection = secrets.token_urlsafe(12)
    use = TicketUse(_digest(secret), agent_id, run_id, connection, comes_again)
    now = ports.clock.now()
    caller = await in_thread(ports.threads, tickets.redeem, use, at=now)
    return TicketInUse(caller, use, tickets=tickets, ports=ports)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
