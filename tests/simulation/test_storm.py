"""
Background runs that nobody reads end, each executed once, whatever happens to their workers.

`python -m tests.simulation --background 500` plays a larger storm and prints its figures.
"""

import pytest

from tests.simulation.queue import Held
from tests.simulation.storage import Memory, Table
from tests.simulation.storm import COPIES, Storm, StormReport

RUNS = 50


def check(report: StormReport) -> None:
    assert not report.broken, str(report)
    assert report.runs == RUNS
    assert report.statuses == {"COMPLETED": RUNS}
    assert report.kills == RUNS // 5
    assert report.refused_calls > 0
    assert report.messages >= COPIES * RUNS
    assert report.calls - report.repeated_calls == 3 * RUNS
    assert 0 < report.losses <= report.kills
    assert report.repeated_calls <= report.losses


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_background_run_ends_and_was_executed_once(seed: int) -> None:
    check(Storm(seed, RUNS, Memory).play())


def test_every_background_run_ends_on_a_table() -> None:
    check(Storm(4, RUNS, lambda *args: Table(None, *args)).play())


def test_a_queue_that_loses_messages_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def done(held: Held, *, is_done: bool) -> None:
        held.message.is_gone = True

    def keep_for(held: Held, time: object) -> bool:
        held.message.is_gone = True
        return True

    monkeypatch.setattr(Held, "done", done)
    monkeypatch.setattr(Held, "keep_for", keep_for)
    broken = {name for seed in range(1, 5) for name, _ in Storm(seed, RUNS).play().broken}
    assert broken == {"every_run_ends"}
