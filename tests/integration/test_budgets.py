"""What is spent of a budget, by the real engine, whatever happens to a run's executors."""

from collections import Counter

import pytest

from tests.endurance.budget_runs import plan_of
from tests.endurance.budgets import play, play_a_day

pytestmark = pytest.mark.anyio

SEED = 15


@pytest.mark.parametrize(("store", "runs"), [("memory", 40), ("dynamo", 6)])
async def test_a_run_is_a_step_over_its_budget_at_most(store: str, runs: int) -> None:
    spent = await play([plan_of(SEED, number) for number in range(runs)], store=store)
    assert [(one.number, one.faults) for one in spent if one.faults] == []
    ends = Counter(one.run.error_type or one.run.status.value for one in spent)
    assert min(ends["COMPLETED"], ends["BUDGET_EXCEEDED"]) >= runs / 10
    assert sum(one.stops for one in spent) >= runs / 10


@pytest.mark.parametrize("store", ["memory", "dynamo"])
async def test_the_runs_of_a_tenant_are_a_step_each_over_its_day_at_most(store: str) -> None:
    limit = 20_000
    spent, is_refused = await play_a_day(SEED, limit=limit, store=store)
    assert is_refused
    assert [one.faults for one in spent if one.faults] == []
    tokens = sum(one.ledger.tokens for one in spent)
    assert limit <= tokens <= limit + sum(one.ledger.largest[0] for one in spent)
    assert {one.run.error_type for one in spent} <= {None, "BUDGET_EXCEEDED"}
    # Those that had given their whole answer by then have completed.
    assert {one.run.error_type for one in spent} >= {"BUDGET_EXCEEDED"}
