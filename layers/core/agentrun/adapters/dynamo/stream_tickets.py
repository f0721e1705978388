"""
Tickets in DynamoDB: an item each, one write to issue it, one for each connection that it opens.

An item of names of usual length has less than 1 KB, so each write is one unit, one that is refused
too. Its `ttl` only tidies up, hours too late at times: the instants in the item decide.
"""

from datetime import datetime, timedelta

from agentrun.adapters.dynamo.items import (
    Attribute,
    Item,
    instant,
    seconds,
    string,
    ticket_key,
)
from agentrun.adapters.dynamo.table import ConditionFailedError, Table, Write
from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.principal import (
    TICKET_COMES_AGAIN_WITHIN,
    Principal,
    StreamTicket,
    TicketUse,
)

KEPT_AFTER = timedelta(hours=1)
"""How much longer an item is kept than its ticket holds: more than clocks differ."""
_USED_AT, _USED_BY = f"#{Attribute.USED_AT}", f"#{Attribute.USED_BY}"
_USED = f"SET {_USED_AT} = :now, {_USED_BY} = :connection, #{Attribute.TTL} = :ttl"
_FRESH = f"(attribute_not_exists({_USED_AT}) AND #{Attribute.EXPIRES_AT} > :now)"
_AGAIN = f"{_USED_AT} > :lately"
_OWN = f"{_USED_BY} = :connection"
_OF_RUN = f"#{Attribute.RUN_ID} = :run AND #{Attribute.AGENT_ID} = :agent"


class DynamoStreamTickets:
    """The port `StreamTickets` on the project's table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, ticket: StreamTicket) -> None:
        """Keep a new ticket."""
        caller = ticket.caller
        item: Item = {
            **ticket_key(ticket.digest),
            Attribute.TENANT: string(caller.tenant),
            Attribute.USER_ID: string(caller.user_id),
            Attribute.ROLES: string(" ".join(caller.roles)),
            Attribute.AGENT_ID: string(ticket.agent_id),
            Attribute.RUN_ID: string(ticket.run_id),
            Attribute.EXPIRES_AT: instant(ticket.expires_at),
            Attribute.TTL: seconds(ticket.expires_at + KEPT_AFTER),
        }
        # No condition: nobody else makes the same 256 bits, and a try that is repeated changes
        # nothing.
        self._table.write(Write("Put", item))

    def redeem(self, use: TicketUse, *, at: datetime) -> Principal:
        """Open a stream with a ticket."""
        # The last: an earlier try of this very write, whose reply was lost.
        holds = f"{_FRESH} OR {_AGAIN} OR {_OWN}" if use.comes_again else f"{_FRESH} OR {_OWN}"
        lately = {":lately": instant(at - TICKET_COMES_AGAIN_WITHIN)} if use.comes_again else {}
        redeeming = Write(
            "Update",
            ticket_key(use.digest),
            _USED,
            f"{_OF_RUN} AND ({holds})",
            {
                ":run": string(use.run_id),
                ":agent": string(use.agent_id),
                **lately,
                **_using(use, at),
            },
        )
        try:
            return _caller(self._table.write(redeeming, returning="ALL_NEW"))
        except ConditionFailedError:
            raise UnauthenticatedError("the ticket does not hold") from None

    def renew(self, use: TicketUse, *, at: datetime) -> bool:
        """Take note that the connection is still served."""
        key, using = ticket_key(use.digest), _using(use, at)
        return self._table.writes(Write("Update", key, _USED, _OWN, using))


def _using(use: TicketUse, at: datetime) -> Item:
    return {
        ":now": instant(at),
        ":connection": string(use.connection),
        ":ttl": seconds(at + TICKET_COMES_AGAIN_WITHIN + KEPT_AFTER),
    }


def _caller(item: Item) -> Principal:
    caller = Principal(
        tenant=item[Attribute.TENANT]["S"],
        user_id=item[Attribute.USER_ID]["S"],
        roles=frozenset(item[Attribute.ROLES]["S"].split()),
    )
    return caller.as_reader()
