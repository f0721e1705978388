"""Tickets in a dictionary."""

import threading
from dataclasses import dataclass
from datetime import datetime

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.principal import (
    TICKET_COMES_AGAIN_WITHIN,
    Principal,
    StreamTicket,
    TicketUse,
)


@dataclass
class _Kept:
    ticket: StreamTicket
    used_at: datetime | None = None
    used_by: str = ""


class InMemoryStreamTickets:
    """The port `StreamTickets` in a dictionary; several threads may use it at once."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def put(self, ticket: StreamTicket) -> None:
        self.kept[ticket.digest] = _Kept(ticket)

    def redeem(self, use: TicketUse, *, at: datetime) -> Principal:
        with self._lock:
            kept = self.kept.get(use.digest)
            if kept is None or not _holds(kept, use, at):
                raise UnauthenticatedError("the ticket does not hold")
            kept.used_at, kept.used_by = at, use.connection
            return kept.ticket.caller

    def renew(self, use: TicketUse, *, at: datetime) -> bool:
        with self._lock:
            kept = self.kept.get(use.digest)
            if kept is None or kept.used_by != use.connection:
                return False
            kept.used_at = at
            return True


def _holds(kept: _Kept, use: TicketUse, at: datetime) -> bool:
    ticket, used_at = kept.ticket, kept.used_at
    if (ticket.run_id, ticket.agent_id) != (use.run_id, use.agent_id):
        return False
    if used_at is None:
        return ticket.expires_at > at
    is_own = kept.used_by == use.connection
    return is_own or (use.comes_again and used_at > at - TICKET_COMES_AGAIN_WITHIN)
