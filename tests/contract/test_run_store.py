"""What every `RunStore` and every `EventLog` has to keep."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from agentrun.domain.errors import (
    ConflictError,
    FencedError,
    RunNotFoundError,
    SessionNotFoundError,
)
from agentrun.domain.events import ToolEnd, ToolStart
from agentrun.domain.idempotency import IdempotencyClaim
from agentrun.domain.runs import LEASE_EXPIRED, Lease, RunKey, RunStatus
from tests.contract.conftest import Stores
from tests.runs import AT, EXECUTOR, a_request, a_run, completed, deltas, failed

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


def test_a_session_takes_a_second_run_of_its_owner(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.start(a_run("run-2"), a_request())
    assert stores.runs.get(a_run("run-2").key).id == "run-2"


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


@pytest.mark.parametrize("size", [0, 1, 3000, 4096, 4097, 60_000, 2_000_000])
def test_an_output_of_any_size_comes_back_whole(stores: Stores, size: int) -> None:
    # Random letters compress badly, so that the larger ones need several items.
    output = "".join(random.Random(size).choices("abcdé🙂\u2028\r\n", k=size))
    stores.runs.start(a_run(), a_request())
    stores.runs.finish(a_run().key, EXECUTOR, completed(output), at=LATER)
    assert stores.runs.get(a_run().key).output == output


@pytest.mark.parametrize("size", [700, 5_000, 100_000])
def test_an_input_of_any_size_comes_back_whole(stores: Stores, size: int) -> None:
    message = "".join(random.Random(size).choices("abcdé🙂\u2028\r\n", k=size))
    run = a_run(input=message)
    stores.runs.start(run, a_request(message))
    assert stores.runs.get(run.key).input == message


def test_many_runs_are_read_at_once_and_missing_ones_are_absent(stores: Stores) -> None:
    for number in range(3):
        stores.runs.start(a_run(f"run-{number}"), a_request())
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


def test_a_lapsed_run_expires_once_with_a_gap_after_its_last_event(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.log.append(a_run().key, deltas(1, 5), at=AT)
    seen = stores.runs.get(a_run().key)
    ended = stores.runs.expire(seen, at=LATER)
    assert (ended.status, ended.error_type) == (RunStatus.FAILED, LEASE_EXPIRED)
    assert (ended.last_event_id, ended.duration_ms) == (1_000_005, 9_000)
    assert stores.runs.expire(seen, at=LATER + timedelta(seconds=5)) == ended


def test_a_run_whose_lease_was_renewed_meanwhile_does_not_expire(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    seen = stores.runs.get(a_run().key)
    stores.runs.heartbeat(seen.key, EXECUTOR, lease_until=LATER)
    assert stores.runs.expire(seen, at=LATER).status is RunStatus.RUNNING


def test_an_expired_runs_executor_is_fenced(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.expire(stores.runs.get(a_run().key), at=LATER)
    with pytest.raises(FencedError):
        stores.runs.heartbeat(a_run().key, EXECUTOR, lease_until=LATER)
    with pytest.raises(FencedError):
        stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    assert stores.runs.get(a_run().key).error_type == LEASE_EXPIRED


CLAIM = IdempotencyClaim(key_hash="k", fingerprint="f")


def test_the_same_claim_leads_to_the_first_run(stores: Stores) -> None:
    assert stores.runs.start(a_run(), a_request(), CLAIM) == "run-1"
    assert stores.runs.start(a_run("run-2"), a_request(), CLAIM) == "run-1"
    with pytest.raises(RunNotFoundError):
        stores.runs.get(a_run("run-2").key)


def test_starting_the_same_run_again_with_its_claim_is_safe(stores: Stores) -> None:
    assert stores.runs.start(a_run(), a_request(), CLAIM) == "run-1"
    assert stores.runs.start(a_run(), a_request(), CLAIM) == "run-1"


def test_a_claim_for_another_request_is_a_conflict(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request(), CLAIM)
    other = CLAIM.model_copy(update={"fingerprint": "g"})
    with pytest.raises(ConflictError):
        stores.runs.start(a_run("run-2"), a_request(), other)


def test_another_tenants_claim_is_another_one(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request(), CLAIM)
    theirs = a_run("run-2", org_id="umbrella")
    assert stores.runs.start(theirs, a_request(), CLAIM) == "run-2"


def test_a_claim_is_forgotten_after_a_day(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request(), CLAIM)
    tomorrow = a_run("run-2", created_at=AT + timedelta(hours=24, seconds=2))
    assert stores.runs.start(tomorrow, a_request(), CLAIM) == "run-2"


def test_a_cancel_request_comes_back_with_the_next_heartbeat(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    stores.runs.request_cancel(a_run().key, at=LATER)
    assert stores.runs.heartbeat(a_run().key, EXECUTOR, lease_until=LATER).cancel_requested


def test_a_cancel_request_for_an_ended_or_missing_run_changes_nothing(stores: Stores) -> None:
    stores.runs.request_cancel(a_run("nobody").key, at=LATER)
    stores.runs.start(a_run(), a_request())
    ended = stores.runs.finish(a_run().key, EXECUTOR, completed(), at=LATER)
    stores.runs.request_cancel(a_run().key, at=LATER)
    assert stores.runs.get_state(a_run().key) == ended


def test_a_state_is_a_run_without_its_texts(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request())
    assert stores.runs.get_state(a_run().key) == a_run(input=None)
    with pytest.raises(RunNotFoundError):
        stores.runs.get_state(a_run("nobody").key)


def test_events_are_read_in_order_after_a_cursor(stores: Stores) -> None:
    for first, last in ((1, 4), (5, 5), (6, 20)):
        stores.log.append(a_run().key, deltas(first, last), at=AT)
    assert stores.log.read(a_run().key, after=0) == deltas(1, 20)
    assert stores.log.read(a_run().key, after=7) == deltas(8, 20)
    assert stores.log.read(a_run().key, after=20) == []


def test_the_same_segment_again_changes_nothing(stores: Stores) -> None:
    stores.log.append(a_run().key, deltas(1, 4), at=AT)
    stores.log.append(a_run().key, deltas(1, 4), at=LATER)
    assert stores.log.read(a_run().key, after=0) == deltas(1, 4)


def test_segments_that_overlap_are_read_once(stores: Stores) -> None:
    for first, last in ((1, 4), (1, 6), (5, 9)):
        stores.log.append(a_run().key, deltas(first, last), at=AT)
    assert stores.log.read(a_run().key, after=0) == deltas(1, 9)
    assert stores.log.read(a_run().key, after=4) == deltas(5, 9)


def test_tool_events_keep_their_json_exactly(stores: Stores) -> None:
    value = {"n": 1, "x": 0.1, "none": None, "list": [True, "é\u2028"], "text": "a\r\nb"}
    start, end = deltas(1, 2)
    events = [
        replace(start, event=ToolStart(id="c", name="t", arguments=value)),
        replace(end, event=ToolEnd(id="c", name="t", result=None)),
    ]
    stores.log.append(a_run().key, events, at=AT)
    assert stores.log.read(a_run().key, after=0) == events
