"""What is registered around a snapshot, run as the streaming runtime runs it."""

import random

import pytest
import snapshot_restore_py

from agentrun.snapshots import before_snapshot
from lambda_asgi.snapstart import run_after_restore, run_before_snapshot


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is registered from other tests."""
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setattr(snapshot_restore_py, "_before_snapshot_registry", [])
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", [])


def test_preparations_are_called_in_their_order() -> None:
    called: list[int] = []
    before_snapshot(lambda: called.append(1), lambda: called.append(2))
    assert called == []
    run_before_snapshot()
    assert called == [1, 2]


def test_two_copies_of_a_process_draw_different_random_numbers() -> None:
    before_snapshot()
    snapshot = random.getstate()
    drawn = set()
    for _ in range(2):
        random.setstate(snapshot)
        run_after_restore()
        drawn.add(random.random())
    assert len(drawn) == 2


@pytest.mark.parametrize("how", ["on-demand", "provisioned-concurrency"])
def test_nothing_is_prepared_where_no_snapshot_is_taken(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", how)
    before_snapshot(lambda: pytest.fail("prepared"))
    run_before_snapshot()
