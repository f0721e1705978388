"""Schedules of the adapters' requests to DynamoDB."""

from collections.abc import Callable

import pytest

from tests.schedules.scenario import Scenario
from tests.schedules.scenarios import SCENARIOS
from tests.schedules.scene import DynamoStores


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.requests is not None],
    ids=lambda scenario: scenario.name,
)
def test_no_schedule_of_requests_breaks_a_promise(
    dynamo: DynamoStores, scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    assert scenario.requests is not None
    report = scenario.explore(dynamo, scenario.requests)
    record_property("schedules", str(report))
    assert report.count > 0
    assert not report.broken, "\n\n".join(map(str, report.broken.values()))
