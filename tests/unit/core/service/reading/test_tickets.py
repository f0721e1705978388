"""Tickets: who gets one, what it opens, and for how long it is in use."""

import asyncio
import hashlib
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest

from agentrun.domain.errors import (
    ForbiddenError,
    RunNotFoundError,
    StoreUnavailableError,
    UnauthenticatedError,
)
from agentrun.domain.principal import (
    TICKET_COMES_AGAIN_WITHIN,
    TICKET_HOLDS_FOR,
    Principal,
    TicketUse,
)
from agentrun.service.reading import follow as attaching
from agentrun.service.reading.follow import RunFollower
from agentrun.service.reading.tickets import (
    IssuedTicket,
    TicketInUse,
    issue_ticket,
    redeem_ticket,
)
from tests.fakes.in_memory_tickets import InMemoryStreamTickets
from tests.integration.asgi_exchange import until
from tests.rig import ANA, Rig
from tests.runs import AT, EXECUTOR, a_request, a_run, completed

pytestmark = pytest.mark.anyio

READER = Principal(tenant="acme", user_id="ana", scopes=frozenset({"runs:read"}))
ADMIN = Principal(tenant="acme", user_id="root", roles=frozenset({"admin"}))
MINUTE_S = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "SHORTEST_PAUSE_S", 0.001)
    monkeypatch.setattr(attaching, "LONGEST_PAUSE_S", 0.002)


class CountedTickets(InMemoryStreamTickets):
    """Tickets that count calls, and whose renewals fail for as long as they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.redeemed = 0
        self.renewed: list[datetime] = []
        self.is_away = False

    def redeem(self, use: TicketUse, *, at: datetime) -> Principal:
        self.redeemed += 1
        return super().redeem(use, at=at)

    def renew(self, use: TicketUse, *, at: datetime) -> bool:
        self.renewed.append(at)
        if self.is_away:
            raise StoreUnavailableError("The store is not available at the moment.")
        return super().renew(use, at=at)


class TicketRig(Rig):
    """A run that is under way, and tickets for it."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets = CountedTickets()
        self.run = a_run()
        self.store.start(self.run, a_request())

    def issue(self, principal: Principal = READER, agent_id: str = "echo") -> IssuedTicket:
        return issue_ticket(principal, agent_id, self.run.id, tickets=self.tickets, ports=self.runs)

    async def redeem(
        self,
        secret: str,
        agent_id: str = "echo",
        run_id: str = "run-1",
        *,
        comes_again: bool = False,
    ) -> TicketInUse:
        return await redeem_ticket(
            secret,
            agent_id,
            run_id,
            comes_again=comes_again,
            tickets=self.tickets,
            ports=self.runs,
        )

    def follower(self, ticket: TicketInUse) -> RunFollower:
        follower = RunFollower(self.store.get(self.run.key), 0, self.runs)
        follower.read_within(ticket)
        return follower

    def in_use(self, secret: str, *, renewed_every: timedelta) -> TicketInUse:
        """Redeem a ticket that is renewed at another pace."""
        use = TicketUse(hashlib.sha256(secret.encode()).hexdigest(), "echo", self.run.id, "c1")
        caller = self.tickets.redeem(use, at=self.clock.now())
        return TicketInUse(
            caller, use, tickets=self.tickets, ports=self.runs, renewed_every=renewed_every
        )


@pytest.fixture
def rig() -> TicketRig:
    return TicketRig()


async def test_a_ticket_stands_for_its_caller_at_one_stream(rig: TicketRig) -> None:
    issued = rig.issue()
    assert (issued.agent_id, issued.run_id) == ("echo", rig.run.id)
    assert issued.expires_at == AT + TICKET_HOLDS_FOR
    assert (await rig.redeem(issued.secret)).caller == READER
    with pytest.raises(UnauthenticatedError):
        await rig.redeem(issued.secret)


async def test_tickets_are_256_random_bits_of_which_only_the_digest_is_kept(rig: TicketRig) -> None:
    secrets = [rig.issue().secret for _ in range(50)]
    assert len(set(secrets)) == 50
    assert {len(secret) for secret in secrets} == {43}
    assert set(rig.tickets.kept) == {hashlib.sha256(s.encode()).hexdigest() for s in secrets}
    assert not any(secret in repr(rig.tickets.kept) for secret in secrets)
    assert secrets[0] not in repr(rig.issue())


async def test_a_ticket_has_the_right_to_read_and_no_other(rig: TicketRig) -> None:
    assert (await rig.redeem(rig.issue(ANA).secret)).caller == READER
    admin = (await rig.redeem(rig.issue(ADMIN).secret)).caller
    assert admin.is_admin
    assert admin.scopes == {"runs:read"}


@pytest.mark.parametrize(
    "who",
    [
        READER.model_copy(update={"user_id": "bob"}),
        READER.model_copy(update={"tenant": "umbrella"}),
        ADMIN.model_copy(update={"tenant": "umbrella"}),
    ],
)
async def test_who_may_not_see_a_run_gets_no_ticket(rig: TicketRig, who: Principal) -> None:
    with pytest.raises(RunNotFoundError):
        rig.issue(who)
    with pytest.raises(RunNotFoundError):
        rig.issue(agent_id="analyst")
    with pytest.raises(ForbiddenError):
        rig.issue(READER.model_copy(update={"scopes": frozenset()}))
    assert rig.tickets.kept == {}


@pytest.mark.parametrize("secret", ["", "x", "x" * 42, "x" * 44, "é" * 43, "#" * 43, "x" * 9_999])
async def test_what_cannot_be_a_ticket_is_refused_without_a_write(
    rig: TicketRig, secret: str
) -> None:
    with pytest.raises(UnauthenticatedError):
        await rig.redeem(secret)
    assert rig.tickets.redeemed == 0


@pytest.mark.parametrize(
    ("agent_id", "run_id"),
    [("echo", ""), ("echo", "\ud800"), ("a#b", "run-1"), ("a" * 65, "run-1")],
)
async def test_nor_is_a_ticket_for_what_can_be_no_run(
    rig: TicketRig, agent_id: str, run_id: str
) -> None:
    with pytest.raises(UnauthenticatedError):
        await rig.redeem(rig.issue().secret, agent_id, run_id)
    assert rig.tickets.redeemed == 0


async def test_all_refusals_look_the_same(rig: TicketRig) -> None:
    used, expired = rig.issue(), rig.issue()
    await rig.redeem(used.secret)
    rig.clock.advance(MINUTE_S)
    refused = set()
    fresh = rig.issue()
    for secret, agent_id, run_id in (
        (used.secret, "echo", "run-1"),
        (expired.secret, "echo", "run-1"),
        (fresh.secret, "echo", "run-2"),
        (fresh.secret, "analyst", "run-1"),
        ("x" * 43, "echo", "run-1"),
        ("x", "echo", "run-1"),
    ):
        with pytest.raises(UnauthenticatedError) as error:
            await rig.redeem(secret, agent_id, run_id)
        refused.add(str(error.value))
    assert len(refused) == 1


async def test_a_stream_that_is_read_is_in_use_to_its_end(rig: TicketRig) -> None:
    issued = rig.issue()
    follower = rig.follower(await rig.redeem(issued.secret))
    async with aclosing(follower.batches(idle_s=60)) as batches:
        await anext(batches)
        # As long as nothing ends: nobody else has renewed it by now.
        rig.clock.advance(11 * MINUTE_S)
        assert rig.tickets.renewed == []
    assert rig.tickets.renewed == [rig.clock.now()]
    assert (await rig.redeem(issued.secret, comes_again=True)).caller == READER


async def test_a_run_that_ends_ends_the_use(rig: TicketRig) -> None:
    follower = rig.follower(await rig.redeem(rig.issue().secret))
    rig.store.finish(rig.run.key, EXECUTOR, completed(last_event_id=2), at=AT)
    async for _ in follower.batches(idle_s=60):
        pass
    assert len(rig.tickets.renewed) == 1


async def test_a_reader_that_is_cut_off_has_used_it_until_then(rig: TicketRig) -> None:
    follower = rig.follower(await rig.redeem(rig.issue().secret))

    async def read() -> None:
        async for _ in follower.batches(idle_s=60):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert len(rig.tickets.renewed) == 1


async def test_a_use_is_renewed_again_and_again(rig: TicketRig) -> None:
    in_use = rig.in_use(rig.issue().secret, renewed_every=timedelta(milliseconds=1))
    async with in_use:
        await until(lambda: len(rig.tickets.renewed) >= 3, "it was renewed")
        rig.clock.advance(MINUTE_S)
        await until(lambda: rig.clock.now() in rig.tickets.renewed, "it was renewed later")


async def test_a_renewal_that_fails_ends_neither_the_stream_nor_those_to_come(
    rig: TicketRig,
) -> None:
    issued = rig.issue()
    in_use = rig.in_use(issued.secret, renewed_every=timedelta(milliseconds=1))
    rig.tickets.is_away = True
    follower = rig.follower(in_use)
    async with aclosing(follower.batches(idle_s=60)) as batches:
        await anext(batches)
        await until(lambda: len(rig.tickets.renewed) >= 3, "it was renewed")
        rig.tickets.is_away = False
        rig.clock.advance(11 * MINUTE_S)
        await until(lambda: rig.clock.now() in rig.tickets.renewed, "it was renewed later")
        rig.tickets.is_away = True
    await rig.redeem(issued.secret, comes_again=True)


async def test_a_connection_that_has_been_followed_stops_renewing(rig: TicketRig) -> None:
    issued = rig.issue()
    in_use = rig.in_use(issued.secret, renewed_every=timedelta(milliseconds=1))
    async with in_use:
        await rig.redeem(issued.secret, comes_again=True)
        await until(lambda: in_use._renewing is None or in_use._renewing.done(), "it stopped")
        renewed = len(rig.tickets.renewed)
    assert len(rig.tickets.renewed) == renewed + 1
    rig.clock.advance(TICKET_COMES_AGAIN_WITHIN.total_seconds())
    with pytest.raises(UnauthenticatedError):
        await rig.redeem(issued.secret, comes_again=True)


async def test_a_run_that_has_ended_has_tickets_too(rig: TicketRig) -> None:
    rig.store.finish(rig.run.key, EXECUTOR, completed(), at=AT)
    assert (await rig.redeem(rig.issue().secret)).caller == READER
