"""What every `RunStore` and every `EventLog` has to keep."""

from datetime import timedelta

import pytest

from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.runs import Lease, RunKey, RunStatus
from tests.contract.stores import Stores
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, failed

LATER = AT + timedelta(seconds=9)
AWKWARD = "naïve 🙂 \U0001f9d1‍🚀 \r\n line\u2028separator \u0000 tab\t «»"


def test_a_started_run_is_read_back_as_it_was(stores: Stores) -> None:
    run = a_run(input=AWKWARD)
    stores.runs.start(run, a_request(AWKWARD))
    assert stores.runs.get(run.key) == run


def test_a_missing_run_is_an_error(stores: Stores) -> None:
    with pytest.raises(RunNotFoundError):
        stores.runs.get(RunKey(tenant="acme", run_id="nobody"))


def test_another_tenants_run_is_missing(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(RunNotFoundError):
        stores.runs.get(RunKey(tenant="umbrella", run_id="run-1"))


def test_starting_the_same_run_again_finds_ones_own_work(stores: Stores) -> None:
    run = a_run()
    stores.runs.start(run, a_request())
    stores.runs.start(run, a_request())
    assert stores.runs.get(run.key) == run


@pytest.mark.parametrize("seconds", [-5, 0, 5])
def test_an_earlier_try_that_comes_late_takes_nothing_from_the_lease(
    stores: Stores, seconds: int
) -> None:
    stores.runs.start(a_run(), a_request())
    later = AT + timedelta(seconds=15 + max(0, seconds))
    tried = Lease(executor=EXECUTOR, until=AT + timedelta(seconds=15 + seconds))
    assert stores.runs.start(a_run(lease=tried), a_request()) == "run-1"
    stored = stores.runs.get_state(a_run().key)
    assert stored.lease == Lease(executor=EXECUTOR, until=later)


def test_a_run_id_is_given_once(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    other = a_run(lease=Lease(executor="executor-2", until=AT))
    with pytest.raises(ConflictError):
        stores.runs.start(other, a_request())


@pytest.mark.parametrize("change", [{"user_id": "bob"}, {"agent_id": "analyst"}])
def test_a_session_belongs_to_one_user_and_one_agent(
    stores: Stores, change: dict[str, str]
) -> None:
    stores.runs.start(a_run(), a_request())
    intruder = a_run("run-2", **change)
    with pytest.raises(SessionNotFoundError):
        stores.runs.start(intruder, a_request())
    with pytest.raises(RunNotFoundError):
        stores.runs.get(intruder.key)


def test_the_same_session_id_in_another_tenant_is_another_session(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    elsewhere = a_run("run-2", org_id="umbrella", user_id="bob")
    stores.runs.start(elsewhere, a_request())
    assert stores.runs.get(elsewhere.key).user_id == "bob"


def test_a_heartbeat_renews_the_lease(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    until = AT + timedelta(seconds=30)
    beaten = stores.runs.heartbeat(a_run().key, EXECUTOR, lease_until=until)
    assert beaten.lease == Lease(executor=EXECUTOR, until=until)
    assert beaten.cancel_requested is False
    assert stores.runs.get(a_run().key).lease == beaten.lease


def test_a_heartbeat_of_another_executor_is_fenced(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    with pytest.raises(FencedError):
        stores.runs.heartbeat(a_run().key, "executor-2", lease_until=LATER)


def test_a_run_finishes_exactly_once(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    with pytest.raises(FencedError):
        stores.runs.finish(a_run().key, EXECUTOR, failed(), at=LATER)
    run = stores.runs.get(a_run().key)
    assert (run.status, run.output, run.completed_at) == (RunStatus.COMPLETED, "hi", LATER)
    assert (run.total_tokens, run.last_event_id, run.version) == (7, 4, 2)


def test_finishing_again_after_a_lost_reply_is_a_success(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    first = stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    assert stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER) == first


def test_a_failed_run_keeps_its_error_and_what_it_had(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.finish(a_run().key, EXECUTOR, failed(), at=LATER)
    run = stores.runs.get(a_run().key)
    assert (run.status, run.error_type, run.error_message, run.output) == (
        RunStatus.FAILED,
        "MODEL_ERROR",
        "The model failed.",
        "so far",
    )
    assert (run.cost_usd, run.duration_ms) == (0.00125, 12)


def test_followups_are_kept(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    outcome = completed(followups=("Why?", "And «then»?"))
    stores.runs.finish(a_run().key, EXECUTOR, outcome, at=LATER)
    assert stores.runs.get(a_run().key).followups == ("Why?", "And «then»?")


def test_many_runs_are_read_at_once_and_missing_ones_are_absent(stores: Stores) -> None:
    for number in range(3):
        stores.runs.start(a_run(f"run-{number}", session_id=f"s{number}"), a_request())
    keys = [RunKey(tenant="acme", run_id=f"run-{number}") for number in range(5)]
    found = stores.runs.get_many(keys, with_text=True)
    assert {key.run_id for key in found} == {"run-0", "run-1", "run-2"}
    assert all(run.input == "hello" and run.input_truncated is None for run in found.values())


def test_long_texts_are_cut_at_a_character_in_a_batch(stores: Stores) -> None:
    text = "x" + "🙂" * 5_000
    stores.runs.start(a_run(input=text), a_request(text))
    stores.runs.finish(a_run().key, EXECUTOR, completed(text), at=LATER)
    run = stores.runs.get_many([a_run().key], with_text=True)[a_run().key]
    # 4096 = 1 + 1023 * 4 + 3: the last character would not fit whole.
    assert run.output == run.input == "x" + "🙂" * 1023
    assert run.output_truncated is run.input_truncated is True


def test_texts_are_left_out_of_a_batch_on_request(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    run = stores.runs.get_many([a_run().key], with_text=False)[a_run().key]
    assert (run.input, run.output, run.status) == (None, None, RunStatus.RUNNING)


def test_a_state_is_a_run_without_its_texts(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert stores.runs.get_state(a_run().key) == a_run(input=None)
    with pytest.raises(RunNotFoundError):
        stores.runs.get_state(a_run("nobody").key)
