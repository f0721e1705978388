"""What steps, take-overs and hand-overs cost: the figures of docs/costs.md."""

from typing import TYPE_CHECKING, Any

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from bench.capacity_units import CapacityMeter
from bench.step_costs import StepCosts
from tests.runs import AT, EXECUTOR, a_request, a_run, completed
from tests.tables import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_what_each_piece_of_work_writes(client: "DynamoDBClient") -> None:
    assert StepCosts(client).measure() == {
        "a step of 1 KB with 25 events": 6,
        "a step of 8 KB with 25 events": 12,
        "asking for an executor": 1,
        "a take-over": 4,
        "a hand-over": 1,
        "a take-over after a hand-over": 4,
    }


def test_a_run_without_steps_pays_nothing_for_them(client: "DynamoDBClient") -> None:
    costs = []
    runs: dict[str, Any] = {"before": {}, "now": {"max_attempts": 3, "slot_until": AT}}
    for tenant, changes in runs.items():
        meter = CapacityMeter()
        meter.attach(client)
        store = DynamoRunStore(Table(client, TABLE))
        run = a_run(org_id=tenant, **changes)
        store.start(run, a_request())
        store.heartbeat(run.key, EXECUTOR, lease_until=AT)
        store.finish(run.key, EXECUTOR, completed(), at=AT)
        store.release(run)
        costs.append(meter.writes[tenant].computed)
    assert costs[0] == costs[1]
