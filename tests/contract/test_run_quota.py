"""What quotas mean to every `RunQuota`, and what DynamoDB's is like under races and faults."""

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.errors import (
    BudgetExceededError,
    StoreUnavailableError,
    TooManyRunsError,
)
from agentrun.domain.ports import RunQuota
from agentrun.domain.quotas import OVERDUE_AFTER, RETRY_AFTER_S, RunLimits, Slot, user_tag
from bench.capacity_units import item_bytes
from tests.fakes.faults import Fault, FaultyClient
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.runs import AT
from tests.tables import TABLE, client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Limited = Callable[[RunLimits], RunQuota]
LEASE = timedelta(seconds=15)
RACERS = 100


def limits(**changes: int) -> RunLimits:
    """Return limits, none but those named."""
    return RunLimits(**({"runs_per_user": 0, "runs_per_tenant": 0} | changes))


def a_slot(run: str = "run-1", *, user: str = "ana", tenant: str = "acme") -> Slot:
    return Slot(tenant=tenant, user=user_tag(user), run_id=run, lease_until=AT + LEASE)


def slots(count: int, **whose: str) -> list[Slot]:
    return [a_slot(f"run-{number}", **whose) for number in range(count)]


def is_taken(quota: RunQuota, slot: Slot, at: datetime = AT) -> bool:
    try:
        quota.take(slot, at=at)
    except TooManyRunsError:
        return False
    return True


def taken(quota: RunQuota, wanted: list[Slot], at: datetime = AT) -> int:
    return sum(is_taken(quota, slot, at) for slot in wanted)


@pytest.fixture(params=["in_memory", "dynamo"])
def limited(request: pytest.FixtureRequest) -> Limited:
    if request.param == "in_memory":
        return InMemoryRunQuota
    client = request.getfixturevalue("client")
    return lambda limits: DynamoRunQuota(Table(client, TABLE), limits)


def test_a_user_runs_no_more_at_once_than_allowed(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=3, runs_per_tenant=9))
    assert taken(quota, slots(5)) == 3
    with pytest.raises(TooManyRunsError, match="A user may have at most 3 runs") as refused:
        quota.take(a_slot("one-more"), at=AT)
    assert set(refused.value.holders) == set(slots(3))
    assert refused.value.retry_after_s == RETRY_AFTER_S


def test_a_tenant_runs_no_more_at_once_than_allowed(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=3, runs_per_tenant=4))
    assert taken(quota, slots(3)) == 3
    assert is_taken(quota, a_slot("his", user="bob"))
    with pytest.raises(TooManyRunsError, match="organisation may have at most 4 runs") as refused:
        quota.take(a_slot("one-more", user="bob"), at=AT)
    assert set(refused.value.holders) == {*slots(3), a_slot("his", user="bob")}


def test_users_and_tenants_are_counted_apart(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=2, starts_per_minute_per_user=2))
    for tenant in ("acme", "umbrella"):
        for user in ("ana", "bob"):
            assert taken(quota, slots(3, user=user, tenant=tenant)) == 2


def test_a_slot_that_is_given_back_is_another_runs_to_take(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=1, runs_per_tenant=1))
    assert taken(quota, slots(2)) == 1
    quota.give_back(a_slot("run-0"), tokens=0, at=AT)
    assert is_taken(quota, a_slot("run-1"))


def test_taking_a_slot_again_succeeds_and_counts_once(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=2, runs_per_tenant=2, starts_per_minute_per_tenant=2))
    for _ in range(3):
        quota.take(a_slot("run-0"), at=AT)
    assert is_taken(quota, a_slot("run-1"))
    quota.take(a_slot("run-0"), at=AT)
    assert not is_taken(quota, a_slot("run-2"))


def test_giving_back_again_takes_nothing_from_anybody(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=2, runs_per_tenant=2))
    assert taken(quota, slots(2)) == 2
    for _ in range(3):
        quota.give_back(a_slot("run-0"), tokens=0, at=AT)
    assert taken(quota, [a_slot("run-2"), a_slot("run-3")]) == 1


def test_each_execution_of_a_run_has_a_slot_of_its_own(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=1))
    before = a_slot("run-0")
    continued = Slot(before.tenant, before.user, before.run_id, AT + LEASE + timedelta(seconds=1))
    quota.take(continued, at=AT)
    quota.give_back(before, tokens=0, at=AT)
    assert not is_taken(quota, a_slot("run-1"))


def test_the_slots_of_the_dead_are_taken_away_at_once(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=3, runs_per_tenant=5))
    dead = [*slots(3), a_slot("his", user="bob")]
    assert taken(quota, [*dead, a_slot("alive", user="bob")]) == 5
    quota.release([*dead, a_slot("unknown", user="eve")])
    assert taken(quota, slots(9, user="cleo")) == 3
    assert taken(quota, slots(9, user="bob")) == 1


def test_no_limit_of_runs_is_no_limit(limited: Limited) -> None:
    quota = limited(limits(starts_per_minute_per_tenant=100))
    assert taken(quota, slots(60)) == 60


def test_starts_are_counted_by_the_minute(limited: Limited) -> None:
    quota = limited(limits(starts_per_minute_per_user=2, starts_per_minute_per_tenant=3))
    assert taken(quota, slots(3)) == 2
    with pytest.raises(TooManyRunsError, match="A user may start at most 2 runs a minute") as own:
        quota.take(a_slot("one-more"), at=AT)
    # 03:04:05 is the time.
    assert (own.value.retry_after_s, own.value.holders) == (55, ())
    assert taken(quota, slots(3, user="bob")) == 1
    with pytest.raises(TooManyRunsError, match="organisation may start at most 3 runs a minute"):
        quota.take(a_slot("one-more", user="bob"), at=AT)
    for slot in slots(2):
        quota.give_back(slot, tokens=0, at=AT)
    assert not is_taken(quota, a_slot("one-more"))
    assert is_taken(quota, a_slot("one-more"), AT + timedelta(seconds=55))


MIDNIGHT = AT.replace(day=3, hour=0, minute=0, second=0, microsecond=0)


def test_tokens_are_counted_by_the_day(limited: Limited) -> None:
    quota = limited(limits(runs_per_tenant=9, tokens_per_day_per_tenant=100))
    assert taken(quota, slots(2)) == 2
    quota.give_back(a_slot("run-0"), tokens=60, at=AT)
    assert is_taken(quota, a_slot("run-2"))
    quota.give_back(a_slot("run-1"), tokens=40, at=AT)
    with pytest.raises(TooManyRunsError, match="its daily budget of 100 tokens") as refused:
        quota.take(a_slot("run-3"), at=AT)
    to_midnight = MIDNIGHT - AT.replace(microsecond=0)
    assert refused.value.retry_after_s == to_midnight.total_seconds()
    assert refused.value.holders == ()
    assert is_taken(quota, a_slot("run-3", tenant="umbrella"))
    assert is_taken(quota, a_slot("run-3"), MIDNIGHT)


def test_a_run_under_way_learns_that_the_day_is_spent(limited: Limited) -> None:
    quota = limited(limits(runs_per_tenant=9, tokens_per_day_per_tenant=100))
    one, other = slots(2)
    assert taken(quota, [one, other]) == 2
    quota.count(one, tokens=60, at=AT)
    quota.count(other, tokens=39, at=AT)
    quota.count(a_slot(tenant="umbrella"), tokens=99, at=AT)
    with pytest.raises(BudgetExceededError, match="its daily budget of 100 tokens"):
        quota.count(one, tokens=1, at=AT)
    with pytest.raises(BudgetExceededError):
        quota.count(other, tokens=1, at=AT)
    # Nobody else begins, though neither has given its slot back.
    assert not is_taken(quota, a_slot("run-2"))
    quota.give_back(one, tokens=0, at=AT)
    assert not is_taken(quota, a_slot("run-2"))
    quota.count(other, tokens=99, at=MIDNIGHT)
    assert is_taken(quota, a_slot("run-2"), MIDNIGHT)


def test_tokens_of_a_slot_that_is_not_held_any_more_count(limited: Limited) -> None:
    quota = limited(limits(runs_per_tenant=9, tokens_per_day_per_tenant=100))
    quota.take(a_slot("run-0"), at=AT)
    quota.release([a_slot("run-0")])
    quota.give_back(a_slot("run-0"), tokens=99, at=AT)
    with pytest.raises(BudgetExceededError):
        quota.count(a_slot("run-1"), tokens=1, at=AT)


def test_without_a_limit_of_tokens_none_are_counted(limited: Limited) -> None:
    quota = limited(limits(runs_per_tenant=9))
    quota.take(a_slot("run-0"), at=AT)
    quota.count(a_slot("run-0"), tokens=10**12, at=AT)
    quota.give_back(a_slot("run-0"), tokens=10**12, at=AT)
    assert is_taken(quota, a_slot("run-1"))


def test_slots_held_for_longer_than_runs_take_are_reported(limited: Limited) -> None:
    quota = limited(limits(runs_per_user=9))
    quota.take(a_slot("old"), at=AT)
    for minutes, reported in ((19, []), (21, [a_slot("old")])):
        now = AT + LEASE + timedelta(minutes=minutes)
        new = Slot("acme", user_tag("bob"), "new", now + LEASE)
        quota.take(new, at=now)
        assert list(quota.give_back(new, tokens=0, at=now)) == reported
    assert timedelta(minutes=19) < OVERDUE_AFTER < timedelta(minutes=21)


def stored(client: "DynamoDBClient", tenant: str = "acme") -> dict[str, Any]:
    key = {"pk": {"S": f"ORG#{tenant}#QUOTA"}, "sk": {"S": "QUOTA"}}
    item: dict[str, Any] = client.get_item(TableName=TABLE, Key=key).get("Item", {})
    return item


def tokens_of(client: "DynamoDBClient", at: datetime, tenant: str = "acme") -> dict[str, Any]:
    key = {"pk": {"S": f"ORG#{tenant}#TOKENS"}, "sk": {"S": f"{at:%Y%m%d}"}}
    item: dict[str, Any] = client.get_item(TableName=TABLE, Key=key).get("Item", {})
    return item


def ttl_of(at: datetime) -> dict[str, str]:
    return {"N": str(int(at.timestamp()))}


def test_what_nobody_counts_on_any_more_is_forgotten(client: "DynamoDBClient") -> None:
    every = {"starts_per_minute_per_user": 9, "starts_per_minute_per_tenant": 9}
    quota = DynamoRunQuota(Table(client, TABLE), limits(**every, tokens_per_day_per_tenant=1))
    for day in range(5):
        now = AT + timedelta(days=day)
        slot = Slot("acme", user_tag(f"user-{day}"), f"run-{day}", now + LEASE)
        quota.take(slot, at=now)
        quota.give_back(slot, tokens=1, at=now)
        tokens = tokens_of(client, now)
        assert (tokens["tokens"], tokens["ttl"]) == ({"N": "1"}, ttl_of(now + timedelta(days=2)))
    left = stored(client)
    assert sorted(name.split("#")[0] for name in left) == ["m", "m", "pk", "sk", "tokens", "tokens"]
    assert {"tokens#20260105", "tokens#20260106"} <= set(left)


def test_the_item_of_a_tenant_at_its_default_limits_is_12_kb(client: "DynamoDBClient") -> None:
    quota = DynamoRunQuota(Table(client, TABLE), RunLimits())
    ids = [f"b1d0c3f2-5a77-4c0e-9d7b-{number:012d}" for number in range(201)]
    wanted = [a_slot(run_id, user=f"user-{n % 4}") for n, run_id in enumerate(ids)]
    assert taken(quota, wanted[:17]) == 17
    assert flat_bytes(stored(client)) <= 1100
    assert taken(quota, wanted) == 200
    assert flat_bytes(stored(client)) <= 12 * 1024
    quota.release(wanted[:100])
    quota.release(wanted[100:])
    assert set(stored(client)) == {"pk", "sk"}


def flat_bytes(item: dict[str, Any]) -> int:
    """Return an item's size; a set's is that of its members."""
    sets = {name: value["SS"] for name, value in item.items() if "SS" in value}
    rest = {name: value for name, value in item.items() if name not in sets}
    members = sum(len(member) for value in sets.values() for member in value)
    return item_bytes(rest) + members + sum(map(len, sets))


def at_once(quota: RunQuota, wanted: list[Slot]) -> int:
    """Take slots from as many threads; gives how many were had."""
    barrier = Barrier(len(wanted))

    def take(slot: Slot) -> bool:
        barrier.wait()
        return is_taken(quota, slot)

    with ThreadPoolExecutor(len(wanted)) as threads:
        return sum(threads.map(take, wanted))


def test_a_race_for_ten_slots_has_ten_winners(dynamodb_url: str) -> None:
    client = client_of(dynamodb_url)
    quota = DynamoRunQuota(Table(client, TABLE), limits(runs_per_user=10, runs_per_tenant=15))
    mine = slots(RACERS, tenant="racing")
    assert at_once(quota, mine) == 10
    assert at_once(quota, slots(RACERS, user="bob", tenant="racing")) == 5
    held = stored(client, "racing")
    assert len(held["runs"]["SS"]) == 15
    assert len(held[f"u#{user_tag('ana')}"]["SS"]) == 10


def test_a_race_of_taking_and_giving_back_leaves_nothing(dynamodb_url: str) -> None:
    client = client_of(dynamodb_url)
    every = {"runs_per_user": 10, "runs_per_tenant": 15, "tokens_per_day_per_tenant": 10**9}
    quota = DynamoRunQuota(Table(client, TABLE), limits(**every))

    def run(number: int) -> int:
        slot = a_slot(f"run-{number}", user=f"user-{number % 3}", tenant="busy")
        if not is_taken(quota, slot):
            return 0
        quota.give_back(slot, tokens=7, at=AT)
        return 7

    with ThreadPoolExecutor(20) as threads:
        used = sum(threads.map(run, range(200)))
    assert used > 0
    assert tokens_of(client, AT, "busy")["tokens"] == {"N": str(used)}
    assert set(stored(client, "busy")) == {"pk", "sk"}


def test_twenty_runs_at_once_stop_as_the_day_is_spent(dynamodb_url: str) -> None:
    client = client_of(dynamodb_url)
    spending = limits(runs_per_tenant=50, tokens_per_day_per_tenant=1000)
    quota = DynamoRunQuota(Table(client, TABLE), spending)
    wanted = slots(20, tenant="greedy")
    assert at_once(quota, wanted) == 20

    def run(slot: Slot) -> int:
        for answers in itertools.count(1):
            try:
                quota.count(slot, tokens=7, at=AT)
            except BudgetExceededError:
                quota.give_back(slot, tokens=0, at=AT)
                return answers
        raise AssertionError

    with ThreadPoolExecutor(20) as threads:
        answers = sum(threads.map(run, wanted))
    used = int(tokens_of(client, AT, "greedy")["tokens"]["N"])
    # Nothing is lost, and each run has at most the answer that it was in.
    assert used == 7 * answers
    assert 1000 <= used < 1000 + 20 * 7
    assert not is_taken(quota, a_slot("late", tenant="greedy"))


def is_quota_write(name: str, params: Mapping[str, Any]) -> bool:
    return name == "UpdateItem" and params["Key"]["sk"]["S"] == "QUOTA"


def is_tokens_write(name: str, params: Mapping[str, Any]) -> bool:
    return name == "UpdateItem" and params["Key"]["pk"]["S"].endswith("#TOKENS")


@pytest.fixture
def faulty(retrying_client: "DynamoDBClient") -> "tuple[FaultyClient, DynamoDBClient]":
    kinds = {"quota": is_quota_write, "tokens": is_tokens_write}
    return FaultyClient(retrying_client, kinds), retrying_client


def test_a_lost_reply_counts_nothing_twice(
    faulty: "tuple[FaultyClient, DynamoDBClient]",
) -> None:
    faults, client = faulty
    every = {"starts_per_minute_per_tenant": 9, "tokens_per_day_per_tenant": 99}
    quota = DynamoRunQuota(Table(client, TABLE), limits(runs_per_user=1, **every))
    slot = a_slot(tenant="lossy")
    with faults.injected(Fault.REPLY_LOST, "quota") as lost:
        quota.take(slot, at=AT)
    assert (lost.applied, stored(client, "lossy")["m#29455384"]) == (1, {"N": "1"})
    with faults.injected(Fault.REPLY_LOST, "quota") as lost:
        quota.give_back(slot, tokens=7, at=AT)
    assert (lost.applied, tokens_of(client, AT, "lossy")["tokens"]) == (1, {"N": "7"})
    assert "runs" not in stored(client, "lossy")


def test_a_lost_reply_counts_tokens_again_rather_than_never(
    faulty: "tuple[FaultyClient, DynamoDBClient]",
) -> None:
    faults, client = faulty
    quota = DynamoRunQuota(Table(client, TABLE), limits(tokens_per_day_per_tenant=99))
    with faults.injected(Fault.REPLY_LOST, "tokens") as lost:
        quota.count(a_slot(tenant="forgetful"), tokens=7, at=AT)
    assert (lost.applied, tokens_of(client, AT, "forgetful")["tokens"]) == (1, {"N": "14"})


def test_a_store_that_is_away_is_no_refusal(
    faulty: "tuple[FaultyClient, DynamoDBClient]",
) -> None:
    faults, client = faulty
    quota = DynamoRunQuota(Table(client, TABLE), limits(runs_per_user=1))
    with faults.injected(Fault.SERVER_ERROR, "quota", times=99):
        with pytest.raises(StoreUnavailableError):
            quota.take(a_slot(tenant="away"), at=AT)
        with pytest.raises(StoreUnavailableError):
            quota.give_back(a_slot(tenant="away"), tokens=0, at=AT)
