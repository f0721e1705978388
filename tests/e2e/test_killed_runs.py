"""Executors are killed, and what their runs did is done once; `make endurance` kills many more."""

from collections.abc import Iterator

import pytest

from tests.endurance.kills import ATTACH_BUDGET_S, QUEUE_BUDGET_S, killed_runs
from tests.endurance.stack import EnduranceStack, endurance_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnduranceStack]:
    scratch = tmp_path_factory.mktemp("killed")
    with endurance_stack(scratch, variables={"AGENTRUN_DEMO_DELAY_MS": "20"}) as stack:
        yield stack


def test_killed_runs_are_finished_and_have_each_effect_once(stack: EnduranceStack) -> None:
    outcome = killed_runs(stack, runs=4, seed=7, at_once=4, most_kills=1)
    assert [killed.faults for killed in outcome] == [[]] * 4
    assert [len(killed.kills) for killed in outcome] == [1] * 4
    for killed in outcome:
        budget_s = ATTACH_BUDGET_S if killed.plan.is_streamed else QUEUE_BUDGET_S
        assert max(killed.take_overs_s) < budget_s
