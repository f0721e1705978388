"""What whole runs write, by the real services on DynamoDB: the figures of docs/costs.md."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.webhooks.sender import TRY_TIMEOUT_S
from agentrun.domain.errors import BudgetExceededError
from agentrun.domain.events import ContentDelta
from agentrun.domain.quotas import RunLimits, Slot
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import RunStatus
from agentrun.domain.webhooks import MOST_TRIES
from agentrun.service.executing.execution import RunExecution
from agentrun.service.worker import RunWorker
from bench.capacity_units import CapacityMeter
from bench.costs import GB_SECOND, LAMBDA_REQUEST
from tests.endurance.budget_rig import DynamoRig
from tests.fakes.scripted_engine import ScriptedEngine
from tests.rig import ANA, PATIENT
from tests.tables import TABLE, mocked_table
from tests.translated_template import properties
from tests.unit.core.service.lost_rig import FakeMessage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.anyio

COSTS = (Path(__file__).resolve().parents[2] / "docs/costs.md").read_text(encoding="utf-8")
LIMITS = RunLimits()
SQS_REQUEST = 0.40e-6
WEBHOOK_MEMORY_GB = 0.25
REQUEST = RunRequest(message="hello")


@pytest.fixture
def client() -> Iterator["DynamoDBClient"]:
    with mocked_table() as table:
        yield table


@pytest.fixture
def meter(client: "DynamoDBClient") -> CapacityMeter:
    counting = CapacityMeter()
    counting.attach(client)
    return counting


def units(meter: CapacityMeter) -> float:
    return sum(charges.computed for charges in meter.writes.values())


async def streamed(rig: DynamoRig) -> None:
    """Execute a run that says one word before the first segment and the first heartbeat."""
    launcher = rig.launcher(ScriptedEngine([ContentDelta(text="a")]), PATIENT)
    execution = await launcher.begin(ANA, "lasting", REQUEST, deadline=None)
    assert isinstance(execution, RunExecution)
    execution.detach()
    await launcher.ended(execution)
    assert rig.runs.store.get(execution.run.key).status is RunStatus.COMPLETED


async def in_background(rig: DynamoRig) -> None:
    """Do the same in a worker."""
    launcher = rig.launcher(ScriptedEngine([ContentDelta(text="a")]), PATIENT)
    started = await launcher.enqueue(ANA, "lasting", REQUEST)
    assert await RunWorker(launcher, rig.ports).work(FakeMessage(started.key), deadline=None)
    assert rig.runs.store.get(started.key).status is RunStatus.COMPLETED


async def test_a_plain_run_is_its_start_one_segment_and_its_end(
    client: "DynamoDBClient", meter: CapacityMeter
) -> None:
    await streamed(DynamoRig(client, LIMITS))
    start, segment, end, session, slot = 8, 1, 1, 1, 2
    assert units(meter) == start + segment + end + session + slot
    assert f"write units = {start} " in COSTS


async def test_a_run_in_the_background_costs_what_it_takes_to_be_taken(
    client: "DynamoDBClient", meter: CapacityMeter
) -> None:
    rig = DynamoRig(client, LIMITS)
    await streamed(rig)
    before = units(meter)
    await in_background(rig)
    more = units(meter) - 2 * before
    assert f"DynamoDB = + {more:.0f} write units" in COSTS


def test_what_a_webhook_costs() -> None:
    told = 2 * LAMBDA_REQUEST + 3 * SQS_REQUEST
    assert f"together {told:.7f} USD" in COSTS
    again = LAMBDA_REQUEST + 2 * SQS_REQUEST
    waiting = MOST_TRIES * TRY_TIMEOUT_S * WEBHOOK_MEMORY_GB * GB_SECOND
    all_tries = told + (MOST_TRIES - 1) * again + waiting
    assert f"costs {all_tries:.5f} USD in its {MOST_TRIES} tries" in COSTS
    assert properties("WebhookFunction")["MemorySize"] == WEBHOOK_MEMORY_GB * 1024


def test_the_tokens_of_a_day_are_a_unit_for_each_answer(
    client: "DynamoDBClient", meter: CapacityMeter
) -> None:
    rig = DynamoRig(client)
    quota = DynamoRunQuota(Table(client, TABLE), RunLimits(tokens_per_day_per_tenant=100))
    at = rig.clock.now()
    slot = Slot(tenant="acme", user="ana", run_id="run-1", lease_until=at + timedelta(hours=1))
    quota.count(slot, tokens=40, at=at)
    assert units(meter) == 1
    with pytest.raises(BudgetExceededError):
        quota.count(slot, tokens=60, at=at)
    # The slots of the tenant say that the day is spent.
    assert units(meter) == 3
