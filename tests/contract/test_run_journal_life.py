"""
The model of a run that passes from executor to executor, against every journal.

Whatever the order: nobody writes for a run but who has it, no step is lost or kept twice, what a
zombie stores is outside of what counts, and the session stays the run's.
"""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.journal_life import JournalLife
from tests.contract.stores import Stores


def check(given: Stores | None, *, examples: int, steps: int) -> None:
    class Life(JournalLife):
        def __init__(self) -> None:
            self.stores = given or Stores.in_memory()
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
    check(None, examples=200, steps=30)


def test_the_dynamodb_adapter_keeps_to_the_model(atomic_table: Stores) -> None:
    check(atomic_table, examples=15, steps=20)
