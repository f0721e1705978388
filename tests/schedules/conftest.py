"""Print after the tests how many schedules there were."""

from collections.abc import Iterator

import pytest

from tests.schedules.scene import DynamoStores, MemoryStores, dynamo_stores

COUNT = "schedules"


@pytest.fixture(scope="module")
def memory() -> MemoryStores:
    return MemoryStores()


@pytest.fixture(scope="module")
def dynamo() -> Iterator[DynamoStores]:
    with dynamo_stores() as stores:
        yield stores


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line per scenario, also if the tests ran in several processes."""
    reports = [
        report for result in ("passed", "failed") for report in terminalreporter.getreports(result)
    ]
    lines = [
        str(value) for report in reports for name, value in report.user_properties if name == COUNT
    ]
    if lines:
        terminalreporter.section("schedules")
        terminalreporter.write_line("\n".join(lines))
