"""The port for tickets with which browsers open streams."""

from datetime import datetime
from typing import Protocol

from agentrun.domain.principal import Principal, StreamTicket, TicketUse


class StreamTickets(Protocol):
    """Keeps tickets until nobody can use them any more; every method blocks."""

    def put(self, ticket: StreamTicket) -> None:
        """
        Keep a new ticket.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def redeem(self, use: TicketUse, *, at: datetime) -> Principal:
        """
        Open a stream with a ticket, which only one of several connections at once can do.

        An unused ticket serves one connection until it expires. From then on it serves readers that
        come again, if it was last used less than `TICKET_COMES_AGAIN_WITHIN` ago. The same
        connection may redeem it twice: the first reply may have been lost.

        Returns:
            The caller in whose name it was made.

        Raises:
            UnauthenticatedError: It does not hold, or it is of another run or agent, or there is
                no such ticket. A ticket is not used up by this.
            StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
        """
        ...

    def renew(self, use: TicketUse, *, at: datetime) -> bool:
        """
        Take note that the connection is still served, so that `at` is the ticket's last use.

        Returns:
            False if another connection has redeemed the ticket since, or it is gone.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...
