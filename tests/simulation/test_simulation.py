"""
The services under virtual time: whatever the schedule, no promise is broken.

A failure names the promise and the seed: `python -m tests.simulation --seed SEED --examples 1
--trace 100` shows how it came to that.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest

from agentrun.domain.runs import AgentRun, RunKey
from tests.fakes.in_memory_store import InMemoryRunStore
from tests.simulation.example import Example, Report
from tests.simulation.storage import Table
from tests.tables import client_of, dynamodb_server

BLOCKS = range(1, 201, 50)


def told(report: Report) -> str:
    """Say which promise was broken, and what led to it."""
    lines = [f"seed {report.seed}", *(f"{name}: {detail}" for name, detail in report.broken)]
    return "\n".join([*lines, *report.trace[-40:]])


@pytest.mark.parametrize("first", BLOCKS)
def test_no_schedule_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + BLOCKS.step):
        report = Example(seed).play()
        assert not report.broken, told(report)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[partial[Table]]:
    with dynamodb_server(tmp_path_factory.mktemp("simulation")) as url:
        client = client_of(url)
        yield partial(Table, client)
        client.close()


def test_no_schedule_breaks_a_promise_on_a_table(table: partial[Table]) -> None:
    for seed in range(1, 7):
        report = Example(seed, table).play()
        assert not report.broken, told(report)


def test_a_seed_is_a_schedule() -> None:
    first, second = (Example(7).play() for _ in range(2))
    assert first.trace == second.trace


def broken_within(examples: int) -> set[str]:
    """Name the promises that are broken in so many examples."""
    return {name for seed in range(1, examples + 1) for name, _ in Example(seed).play().broken}


def test_a_lease_that_is_not_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def expire(store: InMemoryRunStore, seen: AgentRun, *, at: datetime) -> AgentRun:
        stored = store.get(seen.key)
        return real(store, stored, at=at)

    real = InMemoryRunStore.expire
    monkeypatch.setattr(InMemoryRunStore, "expire", expire)
    assert broken_within(150)


def test_a_cancel_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def request_cancel(store: InMemoryRunStore, key: RunKey, *, at: datetime) -> None:
        """Do nothing."""

    monkeypatch.setattr(InMemoryRunStore, "request_cancel", request_cancel)
    assert broken_within(50)
