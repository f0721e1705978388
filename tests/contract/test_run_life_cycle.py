"""
The model of a run's life against every store.

Whatever the order: a run ends once, nothing that was acknowledged is lost, a zombie is never heard,
one run at a time has a session, and a queued run's turn comes.
"""

from datetime import timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from agentrun.domain.endings import lease_has_lapsed
from tests.contract.run_life import RunLife
from tests.contract.stores import Stores
from tests.runs import a_run


def check(stores: Stores | None, *, examples: int, steps: int) -> None:
    class Life(RunLife):
        def __init__(self) -> None:
            fresh = stores or Stores.in_memory()
            self.store, self.log, self.journal = fresh.runs, fresh.log, fresh.journal
            super().__init__()

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # A shrunk example over HTTP takes minutes; the whole one says enough.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_fake_keeps_to_the_model() -> None:
    check(None, examples=200, steps=40)


def test_the_dynamodb_adapter_keeps_to_the_model(atomic_table: Stores) -> None:
    check(atomic_table, examples=20, steps=25)


def test_a_lease_lapses_only_after_its_grace() -> None:
    run = a_run()
    assert run.lease is not None
    assert not lease_has_lapsed(run, run.lease.until + timedelta(seconds=2))
    assert lease_has_lapsed(run, run.lease.until + timedelta(seconds=2, milliseconds=1))
