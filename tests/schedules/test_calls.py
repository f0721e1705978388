"""Every schedule of calls of the ports, on the fakes."""

from collections.abc import Callable

import pytest

from tests.schedules.scenario import Scenario
from tests.schedules.scenarios import SCENARIOS
from tests.schedules.scene import MemoryStores


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.calls is not None],
    ids=lambda scenario: scenario.name,
)
def test_no_schedule_of_calls_breaks_a_promise(
    memory: MemoryStores, scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    assert scenario.calls is not None
    report = scenario.explore(memory, scenario.calls)
    record_property("schedules", str(report))
    assert report.count > 0
    assert not report.broken, "\n\n".join(map(str, report.broken.values()))
