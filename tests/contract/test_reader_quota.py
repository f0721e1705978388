"""What places mean to every `ReaderQuota`, and what DynamoDB's is like under races and faults."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from agentrun.adapters.dynamo.quotas.reader_quota import KEPT_AFTER, DynamoReaderQuota
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.errors import StoreUnavailableError
from agentrun.domain.ports import ReaderQuota
from agentrun.domain.quotas import ReaderPlace, user_tag
from tests.contract.test_run_quota import flat_bytes
from tests.fakes.faults import Fault, FaultyClient
from tests.fakes.in_memory_readers import InMemoryReaderQuota
from tests.runs import AT
from tests.tables import TABLE, client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Limited = Callable[[int], ReaderQuota]
UNTIL = AT + timedelta(minutes=15)
UUID = "b1d0c3f2-5a77-4c0e-9d7b-6f3a0e9c1d24"
RACERS = 100


def a_place(
    reader: str = "r0000001", *, user: str = "ana", tenant: str = "acme", run: str = UUID
) -> ReaderPlace:
    return ReaderPlace(tenant, user_tag(user), run, reader, UNTIL)


def places(count: int, **whose: str) -> list[ReaderPlace]:
    return [a_place(f"r{number:07}", **whose) for number in range(count)]


def taken(quota: ReaderQuota, wanted: list[ReaderPlace]) -> int:
    return sum(not quota.take(place, at=AT) for place in wanted)


@pytest.fixture(params=["in_memory", "dynamo"])
def limited(request: pytest.FixtureRequest) -> Limited:
    if request.param == "in_memory":
        return InMemoryReaderQuota
    client = request.getfixturevalue("client")
    return lambda limit: DynamoReaderQuota(Table(client, TABLE), limit)


def test_a_user_has_no_more_readers_than_allowed(limited: Limited) -> None:
    quota = limited(3)
    assert quota.limit == 3
    assert taken(quota, places(5)) == 3
    assert set(quota.take(a_place("one-more"), at=AT)) == set(places(3))


def test_readers_of_all_runs_of_a_user_count_together(limited: Limited) -> None:
    quota = limited(2)
    assert taken(quota, [a_place(run="one"), a_place(run="two"), a_place(run="three")]) == 2


def test_users_and_tenants_are_counted_apart(limited: Limited) -> None:
    quota = limited(2)
    for tenant in ("acme", "umbrella"):
        for user in ("ana", "bob"):
            assert taken(quota, places(3, user=user, tenant=tenant)) == 2


def test_a_place_that_is_freed_is_another_readers_to_take(limited: Limited) -> None:
    quota = limited(1)
    assert taken(quota, places(2)) == 1
    quota.release(places(1))
    assert taken(quota, places(2)) == 1
    assert set(quota.take(a_place("one-more"), at=AT)) <= set(places(2))


def test_taking_a_place_again_succeeds_and_counts_once(limited: Limited) -> None:
    quota = limited(2)
    first, second, third = places(3)
    assert taken(quota, [first, first, second, first, third]) == 4


def test_freeing_what_is_not_held_takes_nothing_from_anybody(limited: Limited) -> None:
    quota = limited(2)
    quota.release([a_place("unknown")])
    assert taken(quota, places(2)) == 2
    for _ in range(3):
        quota.release([a_place("r0000000"), a_place("unknown")])
    assert taken(quota, [a_place("new"), a_place("newer")]) == 1


def stored(client: "DynamoDBClient", user: str = "ana", tenant: str = "acme") -> dict[str, Any]:
    pk = f"ORG#{tenant}#READERS#{user_tag(user)}"
    key = {"pk": {"S": pk}, "sk": {"S": "READERS"}}
    item: dict[str, Any] = client.get_item(TableName=TABLE, Key=key).get("Item", {})
    return item


def test_what_a_user_leaves_behind_goes_by_itself(client: "DynamoDBClient") -> None:
    quota = DynamoReaderQuota(Table(client, TABLE), 9)
    quota.take(a_place(), at=AT)
    quota.release([a_place()])
    left = stored(client)
    assert set(left) == {"pk", "sk", "ttl"}
    assert int(left["ttl"]["N"]) == int((UNTIL + KEPT_AFTER).timestamp())


def test_freeing_does_not_bring_back_what_has_gone(client: "DynamoDBClient") -> None:
    DynamoReaderQuota(Table(client, TABLE), 9).release([a_place()])
    assert stored(client) == {}


def test_fifteen_readers_of_a_user_are_one_write_unit_and_fifty_are_four(
    client: "DynamoDBClient",
) -> None:
    quota = DynamoReaderQuota(Table(client, TABLE), 50)
    assert taken(quota, places(15)) == 15
    assert flat_bytes(stored(client)) <= 1024
    assert taken(quota, places(51)) == 50
    assert 2 * 1024 < flat_bytes(stored(client)) <= 4 * 1024


def test_a_race_for_ten_places_has_ten_winners(dynamodb_url: str) -> None:
    quota = DynamoReaderQuota(Table(client_of(dynamodb_url), TABLE), 10)
    barrier = Barrier(RACERS)

    def take(place: ReaderPlace) -> bool:
        barrier.wait()
        return not quota.take(place, at=AT)

    with ThreadPoolExecutor(RACERS) as threads:
        assert sum(threads.map(take, places(RACERS, tenant="racing"))) == 10
    assert len(stored(client_of(dynamodb_url), tenant="racing")["readers"]["SS"]) == 10


def is_reader_write(name: str, params: Mapping[str, Any]) -> bool:
    return name == "UpdateItem" and params["Key"]["sk"]["S"] == "READERS"


@pytest.fixture
def faulty(retrying_client: "DynamoDBClient") -> "tuple[FaultyClient, DynamoDBClient]":
    return FaultyClient(retrying_client, {"readers": is_reader_write}), retrying_client


def test_a_lost_reply_takes_and_frees_once(faulty: "tuple[FaultyClient, DynamoDBClient]") -> None:
    faults, client = faulty
    quota = DynamoReaderQuota(Table(client, TABLE), 1)
    place = a_place(tenant="lossy")
    with faults.injected(Fault.REPLY_LOST, "readers") as lost:
        assert not quota.take(place, at=AT)
    assert (lost.applied, stored(client, tenant="lossy")["readers"]["SS"]) == (1, [place.name])
    with faults.injected(Fault.REPLY_LOST, "readers") as lost:
        quota.release([place])
    assert (lost.applied, "readers" in stored(client, tenant="lossy")) == (1, False)


def test_a_store_that_is_away_is_no_refusal(
    faulty: "tuple[FaultyClient, DynamoDBClient]",
) -> None:
    faults, client = faulty
    quota = DynamoReaderQuota(Table(client, TABLE), 1)
    with faults.injected(Fault.SERVER_ERROR, "readers", times=99):
        with pytest.raises(StoreUnavailableError):
            quota.take(a_place(tenant="away"), at=AT)
        with pytest.raises(StoreUnavailableError):
            quota.release([a_place(tenant="away")])
