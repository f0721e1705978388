"""How far one item and one transaction of DynamoDB go, and that nothing goes further."""

import math
import random
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from agentrun.adapters.dynamo.items import session_key
from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.conversations import MAX_QUEUED, SessionLock
from agentrun.domain.errors import SessionBusyError, TooManyRunsError
from agentrun.domain.quotas import MOST_RUNS_PER_TENANT, RunLimits, Slot, user_tag
from agentrun.domain.requests import IdempotencyClaim, RunRequest
from agentrun.domain.runs import Lease
from agentrun.settings import Settings
from tests.contract.test_run_quota import flat_bytes
from tests.runs import AT, EXECUTOR, a_queued_run, a_request, a_run, completed, paused
from tests.tables import TABLE
from tests.translated_template import ROOT, stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = AT + timedelta(seconds=9)
MOST_UNITS = 1000
"""Of one partition a second, and so of one item ("Quotas in Amazon DynamoDB", developer guide)."""


def a_slot(number: int) -> Slot:
    run_id = str(UUID(int=number, version=4))
    return Slot("acme", user_tag(f"user-{number}"), run_id, AT + timedelta(seconds=15))


def measured(client: "DynamoDBClient", counts: list[int]) -> dict[int, int]:
    """Measure the item of a tenant with so many runs, each of another user."""
    quota = DynamoRunQuota(Table(client, TABLE), RunLimits(runs_per_user=1, runs_per_tenant=10_000))
    key = {"pk": {"S": "ORG#acme#QUOTA"}, "sk": {"S": "QUOTA"}}
    sizes: dict[int, int] = {}
    for number in range(max(counts)):
        quota.take(a_slot(number), at=AT)
        if number + 1 in counts:
            sizes[number + 1] = flat_bytes(client.get_item(TableName=TABLE, Key=key)["Item"])
    return sizes


def units_a_second(runs: int, size_bytes: int, *, seconds: int) -> float:
    """Each run that ends makes room for one that starts; both write the item."""
    return 2 * runs / seconds * math.ceil(size_bytes / 1024)


def test_a_tenants_item_takes_the_writes_of_as_many_runs_as_may_be_allowed(
    client: "DynamoDBClient",
) -> None:
    documented = {
        int(runs): (int(kilobytes), int(slow), int(fast))
        for runs, kilobytes, slow, fast in re.findall(
            r"^\| (\d+) \| (\d+) KB \| (\d+) \| (\d+) \|$",
            (ROOT / "docs/deploy.md").read_text(),
            flags=re.MULTILINE,
        )
    }
    sizes = measured(client, [*documented])
    computed = {
        runs: (
            math.ceil(size / 1024),
            round(units_a_second(runs, size, seconds=30)),
            round(units_a_second(runs, size, seconds=10)),
        )
        for runs, size in sizes.items()
    }
    assert computed == documented
    most = MOST_RUNS_PER_TENANT
    assert units_a_second(most, sizes[most], seconds=30) < MOST_UNITS
    assert units_a_second(500, sizes[500], seconds=30) > MOST_UNITS
    assert sizes[most] < 400 * 1024 / 10


def test_without_a_limit_of_its_own_a_tenant_has_what_its_item_carries(
    client: "DynamoDBClient",
) -> None:
    quota = DynamoRunQuota(
        Table(client, TABLE),
        RunLimits(runs_per_user=0, runs_per_tenant=0, tokens_per_day_per_tenant=1),
    )
    for number in range(MOST_RUNS_PER_TENANT):
        quota.take(a_slot(number), at=AT)
    with pytest.raises(TooManyRunsError, match=f"at most {MOST_RUNS_PER_TENANT} runs under way"):
        quota.take(a_slot(MOST_RUNS_PER_TENANT), at=AT)


@pytest.mark.parametrize("parameter", ["MaxRunsPerUser", "MaxRunsPerTenant"])
def test_no_limit_above_what_the_item_carries_can_be_set(parameter: str) -> None:
    assert stack()["Parameters"][parameter]["MaxValue"] == MOST_RUNS_PER_TENANT
    variable = "AGENTRUN_" + re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()
    most, name = str(MOST_RUNS_PER_TENANT), variable.removeprefix("AGENTRUN_").lower()
    settings = Settings.from_environment({variable: most})
    assert getattr(settings, name) == MOST_RUNS_PER_TENANT
    for refused in (str(MOST_RUNS_PER_TENANT + 1), "-1"):
        with pytest.raises(ValueError, match=name):
            Settings.from_environment({variable: refused})


def count_actions(client: "DynamoDBClient") -> list[int]:
    """Note how many actions each transaction has."""
    counts: list[int] = []

    def note(params: Any, **_: Any) -> None:
        counts.append(len(params["TransactItems"]))

    client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", note)
    return counts


def fill_queue(store: DynamoRunStore, wanted: int) -> list[str]:
    """Let runs queue behind an active one; return those that are let in."""
    store.start(a_run("active"), a_request())
    queued = []
    for number in range(wanted):
        try:
            store.start(a_queued_run(f"queued-{number}"), a_request())
        except SessionBusyError:
            continue
        queued.append(f"queued-{number}")
    return queued


def end(store: DynamoRunStore, run_ids: list[str]) -> None:
    for run_id in run_ids:
        store.finish(a_run(run_id).key, EXECUTOR, completed(), at=LATER)


def test_of_120_runs_that_queue_90_are_let_in_and_the_last_one_takes_its_turn(
    client: "DynamoDBClient",
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    counts = count_actions(client)
    queued = fill_queue(store, 120)
    assert queued == [f"queued-{number}" for number in range(90)]
    end(store, ["active", *queued[:-1]])
    lock = SessionLock(active="active", active_by=EXECUTOR, queue=tuple(queued))
    taken = store.begin_queued(a_queued_run(queued[-1]), EXECUTOR, seen=lock, at=LATER)
    assert taken.status == "RUNNING"
    # Header, lock, and the active run, which has not let go.
    assert counts[-1] == 3


def test_the_largest_start_after_a_full_queue_is_no_larger_than_after_none(
    client: "DynamoDBClient",
) -> None:
    store = DynamoRunStore(Table(client, TABLE))
    queued = fill_queue(store, MAX_QUEUED)
    end(store, ["active", *queued])
    counts = count_actions(client)
    # As long as it may be, and nothing in it that could be compressed.
    letters = [chr(code) for code in range(0x10000, 0x2FFFF)]
    message = "".join(random.Random(1).choices(letters, k=100_000))
    request = RunRequest(message=message)
    run = a_run("new", input=message, lease=Lease(executor="executor-2", until=LATER))
    claim = IdempotencyClaim(key_hash="k" * 64, fingerprint="f" * 64)
    lock = SessionLock(active="active", active_by=EXECUTOR, queue=tuple(queued))
    assert store.start(run, request, claim, seen=lock) == "new"
    assert counts == [7]
    assert store.get(run.key).input == message


def test_a_paused_run_goes_on_after_a_full_queue(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    store.start(a_run("paused", session_id="other"), a_request())
    pause = store.finish(a_run("paused").key, EXECUTOR, paused(), at=LATER)
    queued = fill_queue(store, MAX_QUEUED)
    end(store, ["active", *queued])
    counts = count_actions(client)
    lock = SessionLock(active="active", active_by=EXECUTOR, queue=tuple(queued))
    here = pause.model_copy(update={"session_id": a_run().session_id})
    store.resume(here, Lease(executor="executor-2", until=LATER), seen=lock, at=LATER)
    assert counts == [3]


def test_a_session_with_a_full_queue_is_read_for_one_unit(client: "DynamoDBClient") -> None:
    store = DynamoRunStore(Table(client, TABLE))
    run = a_run(str(UUID(int=0, version=4)))
    store.start(run, a_request("x" * 200))
    for number in range(1, MAX_QUEUED + 1):
        store.start(a_queued_run(str(UUID(int=number, version=4))), a_request())
    key = session_key(run.org_id, run.session_id)
    assert flat_bytes(client.get_item(TableName=TABLE, Key=key)["Item"]) <= 4096
