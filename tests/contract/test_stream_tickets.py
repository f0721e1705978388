"""What tickets mean to every `StreamTickets`; what DynamoDB's are like under races and faults."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.stream_tickets import KEPT_AFTER, DynamoStreamTickets
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.errors import StoreUnavailableError, UnauthenticatedError
from agentrun.domain.ports import StreamTickets
from agentrun.domain.principal import (
    TICKET_COMES_AGAIN_WITHIN,
    TICKET_HOLDS_FOR,
    Principal,
    StreamTicket,
    TicketUse,
)
from tests.contract.test_run_quota import flat_bytes
from tests.fakes.faults import Fault, FaultyClient
from tests.fakes.in_memory_tickets import InMemoryStreamTickets
from tests.runs import AT
from tests.tables import TABLE, client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOMENT = timedelta(milliseconds=1)
ANA = Principal(tenant="acme", user_id="ana", scopes=frozenset({"runs:write"})).as_reader()
RACERS = 100


def a_ticket(digest: str = "d1", *, caller: Principal = ANA) -> StreamTicket:
    return StreamTicket(digest, caller, "echo", "run-1", AT + TICKET_HOLDS_FOR)


def a_use(connection: str = "c1", digest: str = "d1", *, comes_again: bool = False) -> TicketUse:
    return TicketUse(digest, "echo", "run-1", connection, comes_again)


def again(connection: str) -> TicketUse:
    return a_use(connection, comes_again=True)


@pytest.fixture(params=["in_memory", "dynamo"])
def tickets(request: pytest.FixtureRequest) -> StreamTickets:
    if request.param == "in_memory":
        return InMemoryStreamTickets()
    return DynamoStreamTickets(Table(request.getfixturevalue("client"), TABLE))


def holds(tickets: StreamTickets, use: TicketUse, at: datetime) -> bool:
    with suppress(UnauthenticatedError):
        return tickets.redeem(use, at=at) is not None
    return False


def test_a_ticket_opens_one_stream_in_its_callers_name(tickets: StreamTickets) -> None:
    tickets.put(a_ticket())
    assert tickets.redeem(a_use(), at=AT) == ANA
    assert not holds(tickets, a_use("c2"), AT)


@pytest.mark.parametrize("roles", [frozenset[str](), frozenset({"admin", "auditor"})])
def test_a_ticket_has_no_right_but_to_read_what_its_caller_sees(
    tickets: StreamTickets, roles: frozenset[str]
) -> None:
    scopes = frozenset({"runs:write", "runs:impersonate"})
    caller = Principal(tenant="a#b", user_id="ana", scopes=scopes, roles=roles)
    tickets.put(a_ticket(caller=caller.as_reader()))
    redeemed = tickets.redeem(a_use(), at=AT)
    assert (redeemed.tenant, redeemed.user_id) == ("a#b", "ana")
    assert redeemed.scopes == {"runs:read"}
    assert redeemed.roles == roles & {"admin"}


def test_a_ticket_that_was_never_issued_does_not_hold(tickets: StreamTickets) -> None:
    tickets.put(a_ticket())
    assert not holds(tickets, a_use(digest="d2"), AT)
    assert not holds(tickets, replace(again("c1"), digest="d2"), AT)


@pytest.mark.parametrize("comes_again", [False, True])
def test_an_unused_ticket_holds_until_it_expires(tickets: StreamTickets, comes_again: bool) -> None:
    use, expiry = a_use(comes_again=comes_again), AT + TICKET_HOLDS_FOR
    tickets.put(a_ticket())
    assert not holds(tickets, use, expiry)
    assert holds(tickets, use, expiry - MOMENT)


@pytest.mark.parametrize(("agent_id", "run_id"), [("echo", "run-2"), ("analyst", "run-1")])
@pytest.mark.parametrize("comes_again", [False, True])
def test_a_ticket_is_for_one_run_of_one_agent_and_not_used_up_by_another(
    tickets: StreamTickets, agent_id: str, run_id: str, comes_again: bool
) -> None:
    tickets.put(a_ticket())
    other = replace(a_use(comes_again=comes_again), agent_id=agent_id, run_id=run_id)
    assert not holds(tickets, other, AT)
    assert holds(tickets, a_use(), AT)
    assert not holds(tickets, replace(other, connection="c2", comes_again=True), AT)


def test_a_reader_that_comes_again_is_served_for_a_time_after_the_last_use(
    tickets: StreamTickets,
) -> None:
    tickets.put(a_ticket())
    assert holds(tickets, a_use("c1"), AT)
    last = AT
    for number in range(3):
        last += TICKET_COMES_AGAIN_WITHIN - MOMENT
        assert not holds(tickets, a_use("stranger"), last)
        assert holds(tickets, again(f"again-{number}"), last)
    assert not holds(tickets, again("late"), last + TICKET_COMES_AGAIN_WITHIN)


def test_what_is_served_is_in_use(tickets: StreamTickets) -> None:
    tickets.put(a_ticket())
    assert holds(tickets, a_use("c1"), AT)
    much_later = AT + 2 * TICKET_COMES_AGAIN_WITHIN
    assert tickets.renew(a_use("c1"), at=much_later)
    assert holds(tickets, again("c2"), much_later + TICKET_COMES_AGAIN_WITHIN - MOMENT)


def test_a_connection_that_another_has_followed_renews_nothing(tickets: StreamTickets) -> None:
    tickets.put(a_ticket())
    assert not tickets.renew(a_use("c1"), at=AT)
    assert holds(tickets, a_use("c1"), AT)
    assert holds(tickets, again("c2"), AT)
    assert not tickets.renew(a_use("c1"), at=AT + TICKET_COMES_AGAIN_WITHIN)
    assert not holds(tickets, again("c3"), AT + TICKET_COMES_AGAIN_WITHIN)


def test_a_renewal_of_what_is_gone_brings_nothing_back(tickets: StreamTickets) -> None:
    assert not tickets.renew(a_use(), at=AT)
    assert not holds(tickets, again("c2"), AT)


def test_the_same_connection_may_try_twice(tickets: StreamTickets) -> None:
    tickets.put(a_ticket())
    assert tickets.redeem(a_use("c1"), at=AT) == tickets.redeem(a_use("c1"), at=AT) == ANA


def test_a_ticket_put_twice_is_one(tickets: StreamTickets) -> None:
    tickets.put(a_ticket())
    tickets.put(a_ticket())
    assert holds(tickets, a_use("c1"), AT)
    assert not holds(tickets, a_use("c2"), AT)


def stored(client: "DynamoDBClient", digest: str = "d1") -> dict[str, Any]:
    key = {"pk": {"S": f"TICKET#{digest}"}, "sk": {"S": "TICKET"}}
    item: dict[str, Any] = client.get_item(TableName=TABLE, Key=key).get("Item", {})
    return item


def test_what_is_left_of_a_ticket_goes_by_itself(client: "DynamoDBClient") -> None:
    tickets = DynamoStreamTickets(Table(client, TABLE))
    tickets.put(a_ticket())
    assert int(stored(client)["ttl"]["N"]) == int((AT + TICKET_HOLDS_FOR + KEPT_AFTER).timestamp())
    until = TICKET_COMES_AGAIN_WITHIN + KEPT_AFTER
    tickets.redeem(a_use(), at=AT)
    assert int(stored(client)["ttl"]["N"]) == int((AT + until).timestamp())
    later = AT + timedelta(minutes=3)
    tickets.renew(a_use(), at=later)
    assert int(stored(client)["ttl"]["N"]) == int((later + until).timestamp())


def test_a_ticket_with_names_of_usual_length_is_one_write_unit(client: "DynamoDBClient") -> None:
    tickets = DynamoStreamTickets(Table(client, TABLE))
    caller = Principal(tenant="o" * 64, user_id="u" * 64).as_reader()
    ticket = StreamTicket("d" * 64, caller, "a" * 64, "r" * 64, AT + TICKET_HOLDS_FOR)
    tickets.put(ticket)
    tickets.redeem(TicketUse("d" * 64, "a" * 64, "r" * 64, "c" * 16), at=AT)
    assert flat_bytes(stored(client, "d" * 64)) <= 1024


def test_of_many_connections_at_once_one_opens_the_stream(dynamodb_url: str) -> None:
    tickets = DynamoStreamTickets(Table(client_of(dynamodb_url), TABLE))
    barrier = Barrier(RACERS)
    tickets.put(a_ticket("racing"))

    def redeem(number: int) -> bool:
        barrier.wait()
        return holds(tickets, a_use(f"c{number}", "racing"), AT)

    with ThreadPoolExecutor(RACERS) as threads:
        assert sum(threads.map(redeem, range(RACERS))) == 1


def is_redeeming(name: str, params: Mapping[str, Any]) -> bool:
    return name == "UpdateItem" and params["Key"]["sk"]["S"] == "TICKET"


Faulty = tuple[FaultyClient, DynamoStreamTickets]


@pytest.fixture
def faulty(retrying_client: "DynamoDBClient") -> Faulty:
    client = FaultyClient(retrying_client, {"tickets": is_redeeming})
    return client, DynamoStreamTickets(Table(retrying_client, TABLE))


def test_a_lost_reply_uses_up_no_ticket(faulty: Faulty) -> None:
    client, tickets = faulty
    tickets.put(a_ticket("lossy"))
    with client.injected(Fault.REPLY_LOST, "tickets") as lost:
        assert tickets.redeem(a_use(digest="lossy"), at=AT) == ANA
    assert lost.applied == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda tickets: tickets.redeem(a_use(digest="away"), at=AT),
        lambda tickets: tickets.renew(a_use(digest="away"), at=AT),
    ],
    ids=["redeem", "renew"],
)
def test_a_store_that_is_away_is_no_refusal(
    faulty: Faulty, ask: Callable[[StreamTickets], object]
) -> None:
    client, tickets = faulty
    tickets.put(a_ticket("away"))
    with (
        client.injected(Fault.SERVER_ERROR, "tickets", times=99),
        pytest.raises(StoreUnavailableError),
    ):
        ask(tickets)
